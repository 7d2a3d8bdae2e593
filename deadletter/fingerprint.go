package deadletter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFingerprint bounds the text of a fingerprint, in bytes. What is behind it does not tell errors apart.
const maxFingerprint = 200

// A fingerprint is what the errors of a group have in common.
type fingerprint struct {
	// text is the error as people read it, with what varies replaced: <n> a number, <d> a duration, <id> an identifier,
	// <s> what stood in quotes.
	text string
	// pattern is a regular expression that matches every error with this fingerprint. It is the identity of the
	// fingerprint: the text alone would confuse what was replaced with an error that has "<n>" in it.
	pattern string
}

// The patterns of what is replaced. Each matches what the function beside it in [fingerprintOf] takes.
const (
	spacePattern    = `(?:\s{2,}|[\t\n\f\r])`
	doublePattern   = `"(?:[^"\\]|\\[\s\S])*"`
	backtickPattern = "`[^`]*`"
	singlePattern   = `'[^']*'`
	uuidPattern     = `[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`
	addressPattern  = `0[xX][0-9A-Fa-f]+`
	hexPattern      = `[0-9A-Fa-f]{8,}`
	tokenPattern    = `[0-9A-Za-z]{16,}`
	numberPattern   = `[0-9]+(?:[.,:][0-9]+)*`
	durationPattern = `(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+`
)

// fingerprintOf tells what is common to err and its like.
func fingerprintOf(err string) fingerprint {
	var f sketch
	f.pattern.WriteByte('^')
	for i := 0; i < len(err); {
		if f.text.Len() >= maxFingerprint {
			return f.fingerprint()
		}
		if n, mask, pattern := variable(err, i); n > 0 {
			f.text.WriteString(mask)
			f.pattern.WriteString(pattern)
			i += n
			continue
		}
		if n := word(err, i); n > 0 { // letters, up to what a number interrupts
			n = min(leading(err[i:i+n], letter), maxFingerprint-f.text.Len())
			f.literal(err[i : i+n])
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(err[i:])
		f.rune(r)
		i += n
	}
	f.pattern.WriteByte('$')
	return f.fingerprint()
}

// variable finds what varies at err[i:]: how many bytes of it, and what stands for them; 0 where there is nothing.
func variable(err string, i int) (n int, mask, pattern string) {
	rest := err[i:]
	switch c := rest[0]; {
	case space(c):
		if n := leading(rest, space); n > 1 || c != ' ' { // a single one stays legible
			return n, " ", spacePattern
		}
	case c == '"':
		return quoted(rest), "<s>", doublePattern
	case c == '`':
		if end := strings.IndexByte(rest[1:], '`'); end >= 0 {
			return end + 2, "<s>", backtickPattern
		}
	case c == '\'' && (i == 0 || !alphanumeric(err[i-1])): // not an apostrophe
		if end := strings.IndexByte(rest[1:], '\''); end >= 0 && (end+2 == len(rest) || !alphanumeric(rest[end+2])) {
			return end + 2, "<s>", singlePattern
		}
	case alphanumeric(c):
		if i == 0 || !alphanumeric(err[i-1]) {
			if n, pattern := identifier(rest); n > 0 {
				return n, "<id>", pattern
			}
		}
		if n := duration(rest); n > 0 && (i == 0 || !alphanumeric(err[i-1])) {
			return n, "<d>", durationPattern
		}
		return number(rest), "<n>", numberPattern
	}
	return 0, "", ""
}

// identifier is the length of an identifier at the beginning of a word, or 0.
func identifier(s string) (n int, pattern string) {
	if uuid(s) {
		return 36, uuidPattern
	}
	n = leading(s, alphanumeric)
	word := s[:n]
	digits := 0
	for i := range n {
		if digit(word[i]) {
			digits++
		}
	}
	switch {
	case n > 2 && word[0] == '0' && word[1]|0x20 == 'x' && leading(word[2:], hex) == n-2:
		return n, addressPattern
	case n >= 8 && digits > 0 && digits < n && leading(word, hex) == n:
		return n, hexPattern
	case n >= 16 && digits >= 2 && digits < n:
		return n, tokenPattern
	}
	return 0, ""
}

// uuid says whether s begins with one that ends there.
func uuid(s string) bool {
	if len(s) < 36 || len(s) > 36 && alphanumeric(s[36]) {
		return false
	}
	for i := range 36 {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash && s[i] != '-' || !dash && !hex(s[i]) {
			return false
		}
	}
	return true
}

// number is the length of a number: digits, also grouped by points, commas and colons.
func number(s string) int {
	n := leading(s, digit)
	for n > 0 && n+1 < len(s) && (s[n] == '.' || s[n] == ',' || s[n] == ':') && digit(s[n+1]) {
		n += 1 + leading(s[n+1:], digit)
	}
	return n
}

// duration is the length of a duration as Go writes it, which has a unit and ends there, or 0.
func duration(s string) (n int) {
	for n < len(s) && digit(s[n]) {
		n += leading(s[n:], digit)
		if n+1 < len(s) && s[n] == '.' && digit(s[n+1]) {
			n += 1 + leading(s[n+1:], digit)
		}
		unit := 0
		for _, u := range [...]string{"ns", "us", "µs", "ms", "s", "m", "h"} {
			if strings.HasPrefix(s[n:], u) {
				unit = len(u)
				break
			}
		}
		if unit == 0 {
			return 0
		}
		n += unit
	}
	if n < len(s) && alphanumeric(s[n]) {
		return 0
	}
	return n
}

// quoted is the length of a string in double quotes, in which a backslash protects what follows it; 0 if it does not end.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i < len(s) && s[i] >= utf8.RuneSelf { // the pattern takes a whole character
				_, n := utf8.DecodeRuneInString(s[i:])
				i += n - 1
			}
		case '"':
			return i + 1
		}
	}
	return 0
}

// word is the length of the letters and digits that s[i:] begins with.
func word(s string, i int) int { return leading(s[i:], alphanumeric) }

func leading(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) && is(s[n]) {
		n++
	}
	return n
}

func space(c byte) bool        { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }
func digit(c byte) bool        { return '0' <= c && c <= '9' }
func letter(c byte) bool       { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func alphanumeric(c byte) bool { return digit(c) || letter(c) }
func hex(c byte) bool          { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// A sketch is a fingerprint that is being made.
type sketch struct{ text, pattern strings.Builder }

func (s *sketch) fingerprint() fingerprint { return fingerprint{s.text.String(), s.pattern.String()} }

// literal writes letters.
func (s *sketch) literal(word string) {
	s.text.WriteString(word)
	s.pattern.WriteString(word)
}

// rune writes a character as itself. In the pattern, what can't be pasted into a shell is written by its number.
func (s *sketch) rune(r rune) {
	s.text.WriteRune(r)
	switch {
	case strings.ContainsRune(`\.+*?()|[]{}^$`, r):
		s.pattern.WriteByte('\\')
		s.pattern.WriteRune(r)
	case unicode.IsPrint(r):
		s.pattern.WriteRune(r)
	default:
		fmt.Fprintf(&s.pattern, `\x{%x}`, r)
	}
}
