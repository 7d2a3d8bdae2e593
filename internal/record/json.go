package record

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// A kind is what a JSON value is.
type kind uint8

const (
	absent kind = iota
	null
	scalar // a number or a boolean
	text
	compound // an object or an array
)

// A member is one of a JSON object's, as it stands in the text.
type member struct {
	name []byte // unquoted
	raw  []byte // the value's own bytes, with quotes if it has some
	kind kind
}

// value is the member's value as an attribute's text: strings unquoted, numbers and booleans as they are written.
func (m member) value() []byte {
	if m.kind == text {
		return unquote(m.raw)
	}
	return m.raw
}

// A scanner walks over the members of an object. It does not build a tree, so that the payload stays the bytes that
// were sent: numbers beyond any Go type, and whatever order and spacing the sender chose.
type scanner struct {
	b []byte
	i int
}

// scanObject starts a scan if b is valid JSON and an object.
func scanObject(b []byte) (scanner, bool) {
	s := scanner{b: b}
	s.space()
	if s.peek() != '{' || !json.Valid(b) {
		return s, false
	}
	s.i++
	return s, true
}

// next returns the next member. The text is known to be valid; the bounds are checked all the same.
func (s *scanner) next() (m member, ok bool) {
	s.space()
	if s.peek() == ',' {
		s.i++
		s.space()
	}
	if s.peek() != '"' {
		return m, false
	}
	m.name = unquote(s.quoted())
	s.space()
	if s.peek() != ':' {
		return m, false
	}
	s.i++
	s.space()

	start := s.i
	switch s.peek() {
	case '"':
		m.kind = text
		s.quoted()
	case '{', '[':
		m.kind = compound
		s.nested()
	case 'n':
		m.kind = null
		s.word()
	default:
		m.kind = scalar
		s.word()
	}
	m.raw = s.b[start:s.i:s.i]
	return m, len(m.raw) > 0
}

// peek is the byte at hand, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// quoted passes over a string and returns it with its quotes.
func (s *scanner) quoted() []byte {
	start := s.i
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return s.b[start:s.i:s.i]
		}
	}
	s.i = len(s.b)
	return s.b[start:]
}

// nested passes over an object or an array.
func (s *scanner) nested() {
	for depth := 0; s.i < len(s.b); {
		switch s.b[s.i] {
		case '"':
			s.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.i++
		if depth == 0 {
			return
		}
	}
}

// word passes over a number, true, false or null.
func (s *scanner) word() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return
		}
		s.i++
	}
}

// unquote returns the text of a valid JSON string. Without escapes that is a span of it. An escaped half of a surrogate
// pair that stands alone has no UTF-8 form: it becomes the three bytes that UTF-8 forbids for it, not U+FFFD, so that
// two ids that differ in nothing else stay apart and are found invalid.
func unquote(q []byte) []byte {
	if len(q) < 2 {
		return q[:0]
	}
	q = q[1 : len(q)-1 : len(q)-1]
	i := bytes.IndexByte(q, '\\')
	if i < 0 {
		return q
	}
	out := append(make([]byte, 0, len(q)), q[:i]...)
	for i < len(q) {
		if q[i] != '\\' || i+1 >= len(q) {
			out = append(out, q[i])
			i++
			continue
		}
		c := q[i+1]
		i += 2
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(q[i:])
			i = min(i+4, len(q))
			if utf16.IsSurrogate(r) {
				if i+1 < len(q) && q[i] == '\\' && q[i+1] == 'u' {
					if pair := utf16.DecodeRune(r, hex4(q[i+2:])); pair != utf8.RuneError {
						out = utf8.AppendRune(out, pair)
						i = min(i+6, len(q))
						continue
					}
				}
				out = append(out, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
				continue
			}
			out = utf8.AppendRune(out, r)
		default: // " \ /
			out = append(out, c)
		}
	}
	return out
}

// hex4 reads four hexadecimal digits; fewer are read as what is there.
func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:min(4, len(b))] {
		r <<= 4
		switch {
		case '0' <= c && c <= '9':
			r |= rune(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r |= rune(c|0x20-'a') + 10
		}
	}
	return r
}
