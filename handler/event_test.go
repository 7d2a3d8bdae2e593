package handler

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestHTTPSendsABinaryCloudEvent(t *testing.T) {
	var header http.Header
	var method, body string
	_, h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		header, method, body = r.Header, r.Method, string(b)
	})
	at := time.Date(2026, 3, 1, 12, 0, 0, 120_000_000, time.FixedZone("", 3600))
	tt := &task.Task{
		ID: "7 7", Source: "/café/100%", Type: "email.send", Queue: "mail", Key: `"k"`,
		Payload: []byte("\x00\xffpayload"), ContentType: "text/plain; charset=utf-8",
		Time: at, NotBefore: at.Add(time.Hour), Expires: at.Add(2 * time.Hour), MaxAttempts: 9, Timeout: 1500 * time.Millisecond,
		TraceParent: traceParent, TraceState: "a=b, c=d",
		Generation: 2, Turn: 3, Attempt: 4,
		Headers: []task.Header{
			{Key: "ce_tenant", Value: "first"}, {Key: "ce_tenant", Value: "Euro € 😀"}, {Key: "ce_empty"},
			// None of the following may arrive.
			{Key: "authorization", Value: "stray"}, {Key: "Host", Value: "stray"}, {Key: "ce_ttfence", Value: "stray"}, {Key: "ce_ttslot", Value: "stray"},
			{Key: "ce_datacontenttype", Value: "stray"}, {Key: "ce_id", Value: "stray"}, {Key: "ce_", Value: "stray"},
			{Key: "ce_Upper", Value: "stray"}, {Key: "ce_a-b", Value: "stray"}, {Key: "ce_x\r\nfoo", Value: "stray"},
		},
	}
	run := &lent{fence: 1<<53 - 1, slot: 77}
	if err := h(run.under(t.Context(), tt), tt); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "7%207", "Ce-Source": "/caf%C3%A9/100%25", "Ce-Type": "email.send",
		"Ce-Time": "2026-03-01T12:00:00.12+01:00", "Ce-Notbefore": "2026-03-01T13:00:00.12+01:00",
		"Ce-Expirytime": "2026-03-01T14:00:00.12+01:00", "Ce-Maxattempts": "9", "Ce-Timeoutms": "1500",
		"Ce-Partitionkey": "%22k%22", "Ce-Tenant": "Euro%20%E2%82%AC%20%F0%9F%98%80", "Ce-Empty": "",
		"Ce-Traceparent": traceParent, "Ce-Tracestate": "a=b,%20c=d", "Traceparent": traceParent, "Tracestate": "a=b, c=d",
		"Ce-Ttqueue": "mail", "Ce-Ttgeneration": "2", "Ce-Ttturn": "3", "Ce-Ttattempt": "4", "Ce-Ttfence": "9007199254740991", "Ce-Ttslot": "77",
		"Content-Type": "text/plain; charset=utf-8", "User-Agent": "tasktier",
	}
	got := map[string]string{}
	for k, v := range header {
		if k != "Content-Length" && k != "Accept-Encoding" {
			got[k] = strings.Join(v, "|")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok || v != want[k] {
			t.Errorf("%s is %q, want %q", k, v, want[k])
		}
		delete(got, k)
	}
	if len(got) > 0 {
		t.Errorf("unwanted headers: %q", got)
	}
	if method != "POST" || body != "\x00\xffpayload" {
		t.Errorf("the request is %s %q", method, body)
	}
}

func TestEventHeaderOfABareTask(t *testing.T) {
	h, err := eventHeader(&task.Task{ID: "1", Source: "/s", Type: "t", Headers: []task.Header{{Key: "ce_ttfence", Value: "stray"}}}, tokens{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"Content-Type", "ce-time", "ce-notbefore", "ce-expirytime", "ce-maxattempts", "ce-timeoutms",
		"ce-partitionkey", "ce-traceparent", "ce-tracestate", "traceparent", "tracestate", "ce-ttfence",
	} {
		if _, ok := h[http.CanonicalHeaderKey(name)]; ok {
			t.Errorf("%s is sent though the task has none", name)
		}
	}
}

func TestEventHeaderDistrustsTraceContext(t *testing.T) {
	for _, c := range []struct{ parent, state string }{
		{"garbage", "a=b"}, {traceParent + "\r\nX: y", "a=b"}, {"", "a=b"}, {traceParent, "a=b\x00"},
	} {
		h, err := eventHeader(&task.Task{TraceParent: c.parent, TraceState: c.state}, tokens{})
		if err != nil {
			t.Fatal(err)
		}
		if c.parent != traceParent && h.Get("traceparent") != "" {
			t.Errorf("traceparent %q is sent", c.parent)
		}
		if h.Get("tracestate") != "" {
			t.Errorf("tracestate %q beside %q is sent", c.state, c.parent)
		}
	}
}

func TestHTTPRefusesContentTypesThatCannotBeSent(t *testing.T) {
	_, h := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the task was sent") })
	for _, contentType := range []string{
		"application/cloudevents+json", "Application/CloudEvents; charset=utf-8", "application/cloudevents-batch+json",
		" application/cloudevents+json", "application/cloudevents+json;;=", "text/plain\r\nX: y", "text/plän",
	} {
		tt := someTask()
		tt.ContentType = contentType
		if err := h(t.Context(), tt); outcomeOf(err) != permanent {
			t.Errorf("%q: outcome is %v, want a permanent failure", contentType, err)
		}
	}
}

func TestEncodeValueIsUndoneByOneRoundOfDecoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "value")
		e := encodeValue(s)
		for i := range len(e) {
			if e[i] <= ' ' || e[i] > '~' || e[i] == '"' {
				t.Fatalf("%q became %q", s, e)
			}
		}
		if d, err := url.PathUnescape(e); err != nil || d != s {
			t.Fatalf("%q became %q and then %q (%v)", s, e, d, err)
		}
	})
	if got := encodeValue("a\xffb"); got != "a%EF%BF%BDb" {
		t.Errorf("bytes that are no UTF-8 became %q", got)
	}
}
