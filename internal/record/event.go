package record

import (
	"bytes"
	"encoding/base64"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// plainSource is the source of tasks in the plain form, which states none.
const plainSource = "/plain"

// An event is what a record says, in whichever form: the texts of the attributes that tasktier acts on, before any
// is understood. It lives on the stack of [Decode].
type event struct {
	attrs    [attributes][]byte // nil: absent
	compound uint32             // a bit for each that was an object or an array, which are no text
	members  []member           // unknown members of a structured event

	data, base64    member // structured payloads
	payload, retry  member // of the plain form
	contentEncoding member // CloudEvents 0.3
}

// readHeaders takes what the record's headers say: its label, which is the content-type, and whether it is an event in
// binary mode if the label does not say otherwise. A repeated header: the last one counts.
func (e *event) readHeaders(headers []kgo.RecordHeader) (label []byte, binary bool) {
	for i := range headers {
		h := &headers[i]
		if h.Key == contentTypeHeader {
			label = h.Value
			continue
		}
		if a := headerAttribute(h.Key); a != unknown && a != mark {
			e.attrs[a] = h.Value
			binary = binary || a == specVersion || a == id
		}
	}
	if len(label) > 0 {
		e.attrs[contentType] = label
	}
	return label, binary
}

// readObject takes what a JSON object says, from its first member on. A repeated member: the last one counts, also when
// it is null, which is the same as absent.
func (e *event) readObject(s scanner) {
	nulls := false
	for m, ok := s.next(); ok; m, ok = s.next() {
		switch string(m.name) {
		case "data":
			e.data = m
			continue
		case "data_base64":
			e.base64 = m
			continue
		case "datacontentencoding":
			e.contentEncoding = m
		case "payload":
			e.payload = m
		case "retry":
			e.retry = m
		}
		a := attributeOf(string(m.name))
		switch {
		case a == mark:
		case a == unknown:
			nulls = nulls || m.kind == null
			e.members = append(e.members, m)
		case m.kind == null:
			e.attrs[a] = nil
		default:
			e.attrs[a] = m.value()
			e.compound &^= 1 << a
			if m.kind == compound {
				e.compound |= 1 << a
			}
		}
	}
	if nulls {
		e.members = withoutNulls(e.members)
	}
}

// isCompound says whether a was an object or an array.
func (e *event) isCompound(a attribute) bool { return e.compound>>a&1 == 1 }

// withoutNulls drops the members whose last value is null. It is apart because it is rare and needs a map: comparing
// each with each would let a record of a hundred thousand nulls cost minutes.
func withoutNulls(members []member) []member {
	last := make(map[string]kind, len(members))
	for _, m := range members {
		last[string(m.name)] = m.kind
	}
	kept := members[:0]
	for _, m := range members {
		if last[string(m.name)] != null {
			kept = append(kept, m)
		}
	}
	return kept
}

// structuredPayload is the payload of a structured event.
func (e *event) structuredPayload() ([]byte, *Error) {
	hasData := e.data.kind != absent && e.data.kind != null
	switch {
	case e.base64.kind != absent && e.base64.kind != null:
		if hasData {
			return nil, invalid("data_base64", "stands beside data; an event has one payload")
		}
		return decodeBase64("data_base64", e.base64)
	case hasData && e.contentEncoding.kind == text && string(unquote(e.contentEncoding.raw)) == "base64" && string(e.attrs[specVersion]) == "0.3":
		// The attribute has been obeyed: left in place, it would be a lie about the payload.
		e.members = slices.DeleteFunc(e.members, func(m member) bool { return string(m.name) == "datacontentencoding" })
		return decodeBase64("data", e.data)
	case e.data.kind == absent, isJSON(e.attrs[contentType]):
		return e.data.raw, nil
	case e.data.kind == null: // says "none" where the payload is not JSON
		return nil, nil
	case e.data.kind == text:
		return unquote(e.data.raw), nil
	}
	return e.data.raw, nil
}

func decodeBase64(name string, m member) ([]byte, *Error) {
	if m.kind != text {
		return nil, invalid(name, "is not a string of base64")
	}
	src := unquote(m.raw)
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(src)))
	n, err := base64.StdEncoding.Decode(dst, src)
	if err != nil {
		return nil, invalid(name, "is not base64: %w", err)
	}
	return dst[:n:n], nil
}

// isJSON says whether data of this media type stands in the event as JSON. Without a media type it does.
func isJSON(media []byte) bool {
	if i := bytes.IndexByte(media, ';'); i >= 0 {
		media = media[:i]
	}
	media = bytes.TrimSpace(media)
	if len(media) == 0 {
		return true
	}
	_, subtype, ok := bytes.Cut(media, []byte("/"))
	return ok && (foldEqual(subtype, "json") || len(subtype) > 5 && foldEqual(subtype[len(subtype)-5:], "+json"))
}

// foldEqual compares b with lower, which is lower case ASCII, in any case.
func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
