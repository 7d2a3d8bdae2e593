package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// headers makes record headers of name, value, name, value, …
func headers(pairs ...string) []kgo.RecordHeader {
	var hs []kgo.RecordHeader
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return hs
}

// others is headers for the field of a task.
func others(pairs ...string) []task.Header {
	var hs []task.Header
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, task.Header{Key: pairs[i], Value: pairs[i+1]})
	}
	return hs
}

// binary is a good binary record with more headers behind.
func binary(more ...string) *kgo.Record {
	return &kgo.Record{
		Value:   []byte(`{"n":1}`),
		Headers: headers(append([]string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t"}, more...)...),
	}
}

// structured is a good structured record with more members behind.
func structured(more string) *kgo.Record {
	return value(`{"specversion":"1.0","id":"1","source":"/s","type":"t"` + more + `}`)
}

func value(v string, hs ...string) *kgo.Record {
	return &kgo.Record{Value: []byte(v), Headers: headers(hs...)}
}

func good(change func(*task.Task)) *task.Task {
	t := &task.Task{ID: "1", Source: "/s", Type: "t", Turn: 1, Attempt: 1}
	if change != nil {
		change(t)
	}
	return t
}

// diff names the fields in which two tasks differ. Times are compared as instants, empty and nil slices are the same.
func diff(want, got *task.Task) string {
	var out strings.Builder
	w, g := reflect.ValueOf(want).Elem(), reflect.ValueOf(got).Elem()
	for i := range w.NumField() {
		f := w.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		a, b := w.Field(i).Interface(), g.Field(i).Interface()
		same := reflect.DeepEqual(a, b) || w.Field(i).Kind() == reflect.Slice && w.Field(i).Len()+g.Field(i).Len() == 0
		if at, ok := a.(time.Time); ok {
			same = at.Equal(b.(time.Time))
		}
		if !same {
			fmt.Fprintf(&out, "%s: want %q, got %q\n", f.Name, fmt.Sprint(a), fmt.Sprint(b))
		}
	}
	return out.String()
}

func wantError(t *testing.T, err error, reason task.Reason, attribute string) {
	t.Helper()
	var e *record.Error
	if !errors.As(err, &e) || e.Reason != reason || e.Attribute != attribute {
		t.Errorf("got error %v, want reason %q, attribute %q", err, reason, attribute)
	}
	if err != nil && len(err.Error()) > 512 {
		t.Errorf("the message has %d bytes; it must not repeat the record", len(err.Error()))
	}
}

// The order in which the forms are tried.
func TestForm(t *testing.T) {
	const event = `{"specversion":"1.0","id":"json","source":"/s","type":"t","data":2}`
	for name, c := range map[string]struct {
		record  *kgo.Record
		id      string // "": undecodable
		payload string
	}{
		"label":                         {value(event, "content-type", "application/cloudevents+json"), "json", "2"},
		"label in any case":             {value(event, "content-type", "Application/CloudEvents+JSON; charset=utf-8"), "json", "2"},
		"label before ce_ headers":      {value(event, "ce_specversion", "1.0", "ce_id", "head", "content-type", "application/cloudevents+json"), "json", "2"},
		"the last label counts":         {value(event, "content-type", "application/cloudevents+json", "content-type", "text/plain", "ce_id", "head", "ce_source", "/s", "ce_type", "t"), "head", event},
		"label on no JSON":              {value("\x00avro", "content-type", "application/cloudevents+avro"), "", ""},
		"label on a batch":              {value("["+event+"]", "content-type", "application/cloudevents-batch+json"), "", ""},
		"label on nothing":              {value("", "content-type", "application/cloudevents+json", "ce_id", "head"), "", ""},
		"label, without specversion":    {value(`{"id":"json","source":"/s","type":"t"}`, "content-type", "application/cloudevents+json"), "json", ""},
		"ce_specversion":                {value(event, "ce_specversion", "1.0", "ce_id", "head", "ce_source", "/s", "ce_type", "t"), "head", event},
		"ce_id alone":                   {value("x", "ce_id", "head", "ce_source", "/s", "ce_type", "t"), "head", "x"},
		"binary with null value":        {&kgo.Record{Headers: headers("ce_id", "head", "ce_source", "/s", "ce_type", "t")}, "head", ""},
		"other ce_ headers are no sign": {value("x", "ce_type", "t", "ce_source", "/s"), "", ""},
		"header names have one case":    {value("x", "CE_ID", "1", "Ce_Specversion", "1.0"), "", ""},
		"datacontenttype is no label":   {value("x", "ce_id", "head", "ce_source", "/s", "ce_type", "t", "ce_datacontenttype", "application/cloudevents+json"), "head", "x"},
		"specversion, no header":        {value(event), "json", "2"},
		"specversion, data's label":     {value(event, "content-type", "application/json"), "json", "2"},
		"specversion after all":         {value(` { "type":"t", "source":"/s","id":"json" , "specversion" : "1.0" } `), "json", ""},
		"specversion null, plain":       {value(`{"specversion":null,"id":"json","type":"t","payload":3}`), "json", "3"},
		"plain":                         {value(`{"id":"json","type":"t","payload":3}`), "json", "3"},
		"plain with data's label":       {value(`{"id":"json","type":"t"}`, "content-type", "application/json"), "json", ""},
		"plain without type":            {value(`{"id":"json","payload":3}`), "", ""},
		"plain with null id":            {value(`{"id":null,"type":"t"}`), "", ""},
		"null":                          {&kgo.Record{}, "", ""},
		"empty":                         {value(""), "", ""},
		"spaces":                        {value(" \n"), "", ""},
		"JSON array":                    {value(`[` + event + `]`), "", ""},
		"JSON string":                   {value(`"specversion"`), "", ""},
		"truncated JSON":                {value(event[:len(event)-1]), "", ""},
		"something behind the JSON":     {value(event + "x"), "", ""},
		"two objects":                   {value(event + event), "", ""},
		"byte order mark":               {value("\xef\xbb\xbf" + event), "", ""},
		"deep nesting":                  {value(`{"id":"json","type":"t","payload":` + strings.Repeat("[", 1<<20)), "", ""},
		"invalid UTF-8":                 {value("\xff\xfe"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got task.Task
			err := record.Decode(c.record, &got)
			if c.id == "" {
				wantError(t, err, task.ReasonUndecodable, "")
				if d := diff(&task.Task{}, &got); d != "" {
					t.Errorf("the task was touched:\n%s", d)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != c.id || string(got.Payload) != c.payload {
				t.Errorf("got id %q and payload %q, want %q and %q", got.ID, got.Payload, c.id, c.payload)
			}
		})
	}
}

// Each attribute of the wire format, good and bad, in both modes: the same texts mean the same.
func TestAttributes(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	notBefore := func(at time.Time) func(*task.Task) { return func(t *task.Task) { t.NotBefore = at } }
	same := func(*task.Task) {}
	for _, c := range []struct {
		name, value string
		want        func(*task.Task) // nil: invalid
	}{
		{"id", "2", func(t *task.Task) { t.ID = "2" }},
		{"id", "", nil},
		{"id", strings.Repeat("x", 1022), func(t *task.Task) { t.ID = strings.Repeat("x", 1022) }},
		{"id", strings.Repeat("x", 1023), nil},
		{"source", "urn:x", func(t *task.Task) { t.Source = "urn:x" }},
		{"source", "", nil},
		{"type", "a.b", func(t *task.Task) { t.Type = "a.b" }},
		{"type", "", nil},
		{"datacontenttype", "text/plain; charset=utf-8", func(t *task.Task) { t.ContentType = "text/plain; charset=utf-8" }},
		{"datacontenttype", "", same},
		{"time", "2026-03-04T05:06:07Z", func(t *task.Task) { t.Time = day }},
		{"time", "2026-03-04T07:36:07.000000000+02:30", func(t *task.Task) { t.Time = day }},
		{"time", "yesterday", same},
		{"time", "", same},
		{"partitionkey", "k", func(t *task.Task) { t.Key = "k" }},
		{"partitionkey", "", same},
		{"traceparent", trace, func(t *task.Task) { t.TraceParent = trace }},
		{"traceparent", "01" + trace[2:] + "-more", func(t *task.Task) { t.TraceParent = "01" + trace[2:] + "-more" }},
		{"traceparent", trace + "-more", same},
		{"traceparent", "ff" + trace[2:], same},
		{"traceparent", strings.ToUpper(trace), same},
		{"traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", same},
		{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", same},
		{"traceparent", "x", same},
		{"tracestate", "a=b", same}, // means nothing without a parent
		{"expirytime", "2026-03-04T05:06:07.5Z", func(t *task.Task) { t.Expires = day.Add(time.Second / 2) }},
		{"expirytime", "tomorrow", nil},
		{"expirytime", "", nil},
		{"expirytime", "0001-01-01T00:00:00Z", func(t *task.Task) { t.Expires = time.Time{}.Add(1) }}, // long past, not "never"
		{"notbefore", "2026-03-04T05:06:07.123456789Z", notBefore(day.Add(123456789))},
		{"notbefore", "2026-03-04t05:06:07-00:00", notBefore(day)},
		{"notbefore", "2026-02-28T23:59:60Z", notBefore(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))},
		{"notbefore", "2028-02-29T00:00:00Z", notBefore(time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC))},
		{"notbefore", "9999-12-31T23:59:59Z", notBefore(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))},
		{"notbefore", "2026-02-29T00:00:00Z", nil},
		{"notbefore", "2100-02-29T00:00:00Z", nil},
		{"notbefore", "2026-04-31T00:00:00Z", nil},
		{"notbefore", "2026-13-01T00:00:00Z", nil},
		{"notbefore", "2026-00-01T00:00:00Z", nil},
		{"notbefore", "2026-03-00T00:00:00Z", nil},
		{"notbefore", "2026-03-04T24:00:00Z", nil},
		{"notbefore", "2026-03-04T05:60:00Z", nil},
		{"notbefore", "2026-03-04T05:06:61Z", nil},
		{"notbefore", "2026-03-04T05:06:07", nil},
		{"notbefore", "2026-03-04T05:06:07.Z", nil},
		{"notbefore", "2026-03-04T05:06:07,5Z", nil},
		{"notbefore", "2026-03-04T05:06:07.1234567890Z", nil},
		{"notbefore", "2026-03-04T05:06:07+0100", nil},
		{"notbefore", "2026-03-04T05:06:07+24:00", nil},
		{"notbefore", "2026-03-04T05:06:07ZZ", nil},
		{"notbefore", "2026-03-04 05:06:07Z", nil},
		{"notbefore", "1772600767", nil},
		{"notbefore", "", nil},
		{"maxattempts", "7", func(t *task.Task) { t.MaxAttempts = 7 }},
		{"maxattempts", "0", same},
		{"maxattempts", "-1", same},
		{"maxattempts", "4294967297", same}, // 1, if cut to 32 bits
		{"maxattempts", "99999999999999999999999", same},
		{"maxattempts", "1.5", same},
		{"maxattempts", "five", same},
		{"timeoutms", "1500", func(t *task.Task) { t.Timeout = 1500 * time.Millisecond }},
		{"timeoutms", "9223372036854", func(t *task.Task) { t.Timeout = 9223372036854 * time.Millisecond }},
		{"timeoutms", "9223372036855", same}, // beyond a Duration
		{"timeoutms", "18446744073710", same},
		{"timeoutms", "-5", same},
		{"timeoutms", "1e3", same},
		{"ttgeneration", "3", func(t *task.Task) { t.Generation = 3 }},
		{"ttgeneration", "0", same},
		{"ttgeneration", "2147483647", func(t *task.Task) { t.Generation = 2147483647 }},
		{"ttgeneration", "2147483648", nil},
		{"ttgeneration", "-1", nil},
		{"ttgeneration", "", nil},
		{"ttturn", "2", func(t *task.Task) { t.Turn = 2 }},
		{"ttturn", "0", nil},
		{"ttturn", "4294967298", nil},
		{"ttturn", "18446744073709551618", nil},
		{"ttattempt", "4", func(t *task.Task) { t.Attempt = 4 }},
		{"ttattempt", "0", nil},
		{"ttattempt", "+4", nil},
		{"ttattempt", "04", func(t *task.Task) { t.Attempt = 4 }},
		{"dataschema", "http://example.org/s", func(t *task.Task) {
			t.Headers = others("ce_dataschema", "http://example.org/s")
		}},
		{"ttl", "60", func(t *task.Task) { t.Headers = others("ce_ttl", "60") }},
		{"ttqueue", "elsewhere", same}, // of a stamp, not of the task
	} {
		for mode, r := range map[string]*kgo.Record{
			"binary":     binary("ce_"+c.name, c.value),
			"structured": structured(fmt.Sprintf(`,%q:%q`, c.name, c.value)),
		} {
			t.Run(fmt.Sprintf("%s/%.40s/%s", c.name, c.value, mode), func(t *testing.T) {
				var got task.Task
				err := record.Decode(r, &got)
				got.Payload = nil
				if c.want == nil {
					wantError(t, err, task.ReasonInvalid, c.name)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := diff(good(c.want), &got); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

func TestSpecVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"1.0": true, "1.1": true, "1.0.2": true, "0.3": true,
		"0.2": false, "0.1": false, "2.0": false, "1": false, "1.": false, "1.x": false, "10.0": false, "": false, "1.0 ": false,
	} {
		for mode, r := range map[string]*kgo.Record{
			"binary":     binary("ce_specversion", version),
			"structured": structured(fmt.Sprintf(`,"specversion":%q`, version)),
		} {
			var got task.Task
			err := record.Decode(r, &got)
			if ok && err != nil {
				t.Errorf("%s %q: %v", mode, version, err)
			}
			if !ok {
				wantError(t, err, task.ReasonUndecodable, "specversion")
				if got.ID != "" {
					t.Errorf("%s %q: the task was touched", mode, version)
				}
			}
		}
	}
}

func TestStructured(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		want func(*task.Task)
		bad  string // the attribute at fault
	}{
		"numbers as attributes": {`,"id":7,"maxattempts":3,"ttturn":2,"score":1.50`, func(t *task.Task) {
			t.ID, t.MaxAttempts, t.Turn, t.Headers = "7", 3, 2, others("ce_score", "1.50")
		}, ""},
		"booleans as attributes":   {`,"partitionkey":true,"urgent":false`, func(t *task.Task) { t.Key, t.Headers = "true", others("ce_urgent", "false") }, ""},
		"null is absent":           {`,"notbefore":null,"time":null,"expirytime":null,"ttturn":null,"color":null,"data":null,"data_base64":null,"partitionkey":null`, func(t *task.Task) { t.Payload = []byte("null") }, ""},
		"null id":                  {`,"id":null`, nil, "id"},
		"object as id":             {`,"id":{}`, nil, "id"},
		"array as type":            {`,"type":["t"]`, nil, "type"},
		"object as partitionkey":   {`,"partitionkey":{}`, nil, "partitionkey"},
		"object, then a string":    {`,"id":{},"id":"2"`, func(t *task.Task) { t.ID = "2" }, ""},
		"unknown object":           {`,"labels":{"a":[1]}`, func(t *task.Task) { t.Headers = others("ce_labels", `{"a":[1]}`) }, ""},
		"the last name counts":     {`,"id":"2","data":1,"data":2,"id":"3"`, func(t *task.Task) { t.ID, t.Payload = "3", []byte("2") }, ""},
		"the last null counts":     {`,"color":"red","shape":"o","color":null,"time":"2026-03-04T05:06:07Z","time":null`, func(t *task.Task) { t.Headers = others("ce_shape", "o") }, ""},
		"escaped names":            {`,"\u0069d":"2","d\u0061ta":3`, func(t *task.Task) { t.ID, t.Payload = "2", []byte("3") }, ""},
		"names have one case":      {`,"ID":"2"`, func(t *task.Task) { t.Headers = others("ce_ID", "2") }, ""},
		"escapes":                  {`,"id":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, func(t *task.Task) { t.ID = "\"\\/\b\f\n\r\té😀" }, ""},
		"half a pair":              {`,"id":"a\ud83d"`, nil, "id"},
		"half a pair, then a pair": {`,"id":"\ud83d\ud83d\ude00"`, nil, "id"},
		"the other half":           {`,"source":"\ude00x"`, nil, "source"},
		"raw invalid UTF-8":        {",\"id\":\"\xff\"", nil, "id"},
		"huge numbers":             {`,"data":{"a":123456789012345678901234567890, "b":1e400,"c":0.10}`, func(t *task.Task) { t.Payload = []byte(`{"a":123456789012345678901234567890, "b":1e400,"c":0.10}`) }, ""},
		"data with brackets": {`,"data":{"a":"}]\"\\","b":[{}]} ,"x":"y"`, func(t *task.Task) {
			t.Payload, t.Headers = []byte(`{"a":"}]\"\\","b":[{}]}`), others("ce_x", "y")
		}, ""},
		"data is a number":         {`,"data": 1.0 `, func(t *task.Task) { t.Payload = []byte("1.0") }, ""},
		"a JSON string":            {`,"data":"x"`, func(t *task.Task) { t.Payload = []byte(`"x"`) }, ""},
		"a JSON string, +json":     {`,"data":"x","datacontenttype":"Application/vnd.x+JSON; v=1"`, func(t *task.Task) { t.Payload, t.ContentType = []byte(`"x"`), "Application/vnd.x+JSON; v=1" }, ""},
		"text":                     {`,"data":"x\n","datacontenttype":"text/plain"`, func(t *task.Task) { t.Payload, t.ContentType = []byte("x\n"), "text/plain" }, ""},
		"empty text":               {`,"data":"","datacontenttype":"text/plain"`, func(t *task.Task) { t.ContentType = "text/plain" }, ""},
		"null under text":          {`,"data":null,"datacontenttype":"text/plain"`, func(t *task.Task) { t.ContentType = "text/plain" }, ""},
		"an object under text":     {`,"data":{"a": 1},"datacontenttype":"text/xml"`, func(t *task.Task) { t.Payload, t.ContentType = []byte(`{"a": 1}`), "text/xml" }, ""},
		"base64":                   {`,"data_base64":"AP97"`, func(t *task.Task) { t.Payload = []byte("\x00\xff{") }, ""},
		"base64 under JSON":        {`,"data_base64":"e30=","datacontenttype":"application/json"`, func(t *task.Task) { t.Payload, t.ContentType = []byte("{}"), "application/json" }, ""},
		"base64 beside null data":  {`,"data":null,"data_base64":"e30="`, func(t *task.Task) { t.Payload = []byte("{}") }, ""},
		"base64 beside data":       {`,"data":1,"data_base64":"e30="`, nil, "data_base64"},
		"bad base64":               {`,"data_base64":"e30"`, nil, "data_base64"},
		"base64 that is no string": {`,"data_base64":7`, nil, "data_base64"},
		"0.3 base64":               {`,"specversion":"0.3","datacontentencoding":"base64","data":"e30="`, func(t *task.Task) { t.Payload = []byte("{}") }, ""},
		"0.3 bad base64":           {`,"specversion":"0.3","datacontentencoding":"base64","data":"!"`, nil, "data"},
		"1.0 knows no encoding": {`,"datacontentencoding":"base64","data":"e30="`, func(t *task.Task) {
			t.Payload, t.Headers = []byte(`"e30="`), others("ce_datacontentencoding", "base64")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got task.Task
			err := record.Decode(structured(c.more), &got)
			if c.bad != "" {
				wantError(t, err, task.ReasonInvalid, c.bad)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(good(c.want), &got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	for name, c := range map[string]struct {
		record *kgo.Record
		want   func(*task.Task)
		bad    string
	}{
		"all":               {value(`{"id":"1","type":"t","payload":{"a": 1},"status":"done","retry":4}`), func(t *task.Task) { t.Payload, t.Attempt = []byte(`{"a": 1}`), 5 }, ""},
		"least":             {value(`{"id":"1","type":"t"}`), nil, ""},
		"number as id":      {value(`{"id":1,"type":"t"}`), nil, ""},
		"text retry":        {value(`{"id":"1","type":"t","retry":"2"}`), func(t *task.Task) { t.Attempt = 3 }, ""},
		"null retry":        {value(`{"id":"1","type":"t","retry":null}`), nil, ""},
		"other members":     {value(`{"id":"1","type":"t","source":"/x","notbefore":"never","color":"red"}`), nil, ""},
		"moved":             {value(`{"id":"1","type":"t","retry":4}`, "ce_ttgeneration", "1", "ce_ttturn", "3", "ce_ttattempt", "2"), func(t *task.Task) { t.Generation, t.Turn, t.Attempt = 1, 3, 2 }, ""},
		"headers and a key": {&kgo.Record{Key: []byte("k"), Value: []byte(`{"id":"1","type":"t"}`), Headers: headers("x-tenant", "7")}, func(t *task.Task) { t.Key, t.Headers = "k", others("x-tenant", "7") }, ""},
		"negative retry":    {value(`{"id":"1","type":"t","retry":-1}`), nil, "retry"},
		"huge retry":        {value(`{"id":"1","type":"t","retry":2147483647}`), nil, "retry"},
		"empty id":          {value(`{"id":"","type":"t"}`), nil, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			var got task.Task
			err := record.Decode(c.record, &got)
			if c.bad != "" {
				wantError(t, err, task.ReasonInvalid, c.bad)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := good(func(t *task.Task) { t.Source, t.ContentType = "/plain", "application/json" })
			if c.want != nil {
				c.want(want)
			}
			if d := diff(want, &got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	r := binary("x-tenant", "7", "ce_id", "2", "ce_color", "red", "bytes", "\xff\x00", "Content-Type", "x", "ce_color", "blue", "ce_tterror", "boom")
	r.Key = []byte("record-key")
	var got task.Task
	if err := record.Decode(r, &got); err != nil {
		t.Fatal(err)
	}
	want := good(func(t *task.Task) {
		t.ID, t.Key, t.Payload = "2", "record-key", []byte(`{"n":1}`)
		t.Headers = others("x-tenant", "7", "ce_color", "red", "bytes", "\xff\x00", "Content-Type", "x", "ce_color", "blue")
	})
	if d := diff(want, &got); d != "" {
		t.Error(d)
	}
	if got.Header("ce_color") != "blue" {
		t.Errorf("ce_color is %q; the last one counts", got.Header("ce_color"))
	}
}

func TestTraceState(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var got task.Task
	if err := record.Decode(binary("ce_tracestate", "a=b", "ce_traceparent", parent), &got); err != nil {
		t.Fatal(err)
	}
	if got.TraceParent != parent || got.TraceState != "a=b" {
		t.Errorf("got %q and %q", got.TraceParent, got.TraceState)
	}
}

// A dead letter carries what could be read of an invalid task, and nothing that is itself at fault.
func TestInvalidKeepsIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		more []string
		want func(*task.Task)
	}{
		"bad notbefore":   {[]string{"ce_notbefore", "soon", "ce_ttgeneration", "2"}, func(t *task.Task) { t.Generation = 2 }},
		"bad turn":        {[]string{"ce_ttturn", "x", "ce_ttgeneration", "2"}, func(t *task.Task) { t.Generation = 2 }},
		"no type":         {[]string{"ce_type", ""}, func(t *task.Task) { t.Type = "" }},
		"invalid id":      {[]string{"ce_id", "\xff"}, func(t *task.Task) { t.ID = "" }},
		"60 KB of id":     {[]string{"ce_id", strings.Repeat("i", 60<<10)}, func(t *task.Task) { t.ID, t.Source = "", "" }},
		"60 KB of source": {[]string{"ce_source", strings.Repeat("i", 60<<10)}, func(t *task.Task) { t.ID, t.Source = "", "" }},
	} {
		t.Run(name, func(t *testing.T) {
			var got task.Task
			err := record.Decode(binary(c.more...), &got)
			var e *record.Error
			if !errors.As(err, &e) || e.Reason != task.ReasonInvalid {
				t.Fatalf("got error %v, want an invalid one", err)
			}
			if d := diff(good(func(t *task.Task) { t.Payload = []byte(`{"n":1}`); c.want(t) }), &got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPayloadAliasesTheRecord(t *testing.T) {
	within := func(part, whole []byte) bool {
		a, b := uintptr(unsafe.Pointer(unsafe.SliceData(part))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
		return a >= b && a+uintptr(len(part)) <= b+uintptr(len(whole))
	}
	for name, r := range map[string]*kgo.Record{
		"binary":     binary(),
		"structured": structured(`,"data":{"n":1},"x":"y"`),
		"text":       structured(`,"data":"{\"n\":1}","datacontenttype":"text/plain"`),
		"plain":      value(`{"id":"1","type":"t","payload":{"n":1}}`),
	} {
		var got task.Task
		batch := append(r.Value, "the next record"...) // values lie one behind the other
		r.Value = batch[:len(r.Value)]
		if err := record.Decode(r, &got); err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(batch)
		if escaped := name == "text"; within(got.Payload, r.Value) == escaped || string(got.Payload) != `{"n":1}` {
			t.Errorf("%s: payload %q aliases the record's value: %v", name, got.Payload, !escaped)
		}
		_ = append(got.Payload, '!')
		if !bytes.Equal(batch, before) {
			t.Errorf("%s: appending to the payload wrote into the batch", name)
		}
	}
}

// Strings must not keep a whole batch in memory, nor change with it.
func TestStringsAreCopies(t *testing.T) {
	for name, r := range map[string]*kgo.Record{
		"binary":     binary("ce_color", "red", "content-type", "text/plain"),
		"structured": structured(`,"color":"red","partitionkey":"k"`),
	} {
		var got, again task.Task
		if err := record.Decode(r, &got); err != nil {
			t.Fatal(err)
		}
		_ = record.Decode(r, &again)
		for i := range r.Value {
			r.Value[i] = '#'
		}
		for _, h := range r.Headers {
			for i := range h.Value {
				h.Value[i] = '#'
			}
		}
		got.Payload, again.Payload = nil, nil
		if d := diff(&again, &got); d != "" || strings.Contains(fmt.Sprint(got), "#") {
			t.Errorf("%s: %v changed with the record", name, got)
		}
	}
}

// A record of nothing but nulls or duplicates must not cost more than its length.
func TestHostileMembersAreLinear(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, `,"a%d":null,"a%d":1`, i, i+1)
	}
	start := time.Now()
	var got task.Task
	if err := record.Decode(structured(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 15*time.Second { // their square takes minutes under the race detector; a busy machine, 8 s
		t.Errorf("decoding took %v", took)
	}
}
