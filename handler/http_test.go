package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// The outcomes that handlers of this package have.
type outcome string

const (
	succeeded outcome = "succeeded"
	retry     outcome = "retry"
	permanent outcome = "permanent"
	snoozed   outcome = "snoozed"
)

func outcomeOf(err error) outcome {
	var p *task.PermanentError
	var s *task.SnoozeError
	switch {
	case err == nil:
		return succeeded
	case errors.As(err, &p):
		return permanent
	case errors.As(err, &s):
		return snoozed
	}
	return retry
}

// newHTTP makes a handler for url with a client that ends with the test.
func newHTTP(t *testing.T, cfg HTTPConfig) consumer.Handler {
	t.Helper()
	if cfg.Client == nil {
		cfg.Client = NewClient()
		t.Cleanup(cfg.Client.CloseIdleConnections)
	}
	h, err := HTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serve starts a service that lives as long as the test, and a handler for it.
func serve(t *testing.T, f http.HandlerFunc) (*httptest.Server, consumer.Handler) {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s, newHTTP(t, HTTPConfig{URL: s.URL + "/email?key=secret"})
}

func someTask() *task.Task {
	return task.New("email.send", []byte(`{"to":"a@example.com"}`), task.ID("1"), task.Source("/shop"), task.ContentType("application/json"))
}

func TestHTTPAnswerDecidesTheOutcome(t *testing.T) {
	for _, c := range []struct {
		code       int
		retryAfter string
		want       outcome
		delay      time.Duration // of a snooze
	}{
		{code: 200, want: succeeded},
		{code: 201, want: succeeded},
		{code: 204, want: succeeded},
		{code: 299, want: succeeded},
		{code: 200, retryAfter: "5", want: succeeded},
		{code: 429, retryAfter: "5", want: snoozed, delay: 5 * time.Second},
		{code: 503, retryAfter: "120", want: snoozed, delay: 2 * time.Minute},
		{code: 429, want: retry},
		{code: 429, retryAfter: "soon", want: retry},
		{code: 503, want: retry},
		{code: 503, retryAfter: "-1", want: retry},
		{code: 500, retryAfter: "5", want: retry},
		{code: 408, want: retry},
		{code: 408, retryAfter: "5", want: retry},
		{code: 425, want: retry},
		{code: 500, want: retry},
		{code: 502, want: retry},
		{code: 504, want: retry},
		{code: 599, want: retry},
		{code: 400, want: permanent},
		{code: 401, want: permanent},
		{code: 404, want: permanent},
		{code: 409, want: permanent},
		{code: 410, want: permanent},
		{code: 422, want: permanent},
		{code: 431, want: permanent},
		{code: 499, want: permanent},
		{code: 300, want: permanent},
		{code: 301, want: permanent},
		{code: 302, want: permanent},
		{code: 303, want: permanent},
		{code: 304, want: permanent},
	} {
		t.Run(fmt.Sprintf("%d %s", c.code, c.retryAfter), func(t *testing.T) {
			var calls atomic.Int32
			_, h := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				if c.code >= 300 && c.code <= 399 {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(c.code)
			})
			err := h(t.Context(), someTask())
			if got := outcomeOf(err); got != c.want {
				t.Fatalf("outcome is %s (%v), want %s", got, err, c.want)
			}
			var s *task.SnoozeError
			if errors.As(err, &s) && s.Delay != c.delay {
				t.Errorf("snoozed for %v, want %v", s.Delay, c.delay)
			}
			if c.want == retry || c.want == permanent {
				if !strings.Contains(err.Error(), fmt.Sprint(c.code)) {
					t.Errorf("error %q does not name the status", err)
				}
			}
			if calls.Load() != 1 {
				t.Errorf("the service was called %d times", calls.Load())
			}
		})
	}
}

func TestHTTPBodyOfASuccessIsTheResult(t *testing.T) {
	long := strings.Repeat("x", task.MaxResult)
	for _, c := range []struct {
		name string
		code int
		body string
		want string // of the result; empty: none
		end  outcome
	}{
		{"byte for byte", 200, " {\"n\":1}\n\xff", " {\"n\":1}\n\xff", succeeded},
		{"any 2xx", 202, "queued", "queued", succeeded},
		{"no content", 204, "", "", succeeded},
		{"an empty body is no result", 200, "", "", succeeded},
		{"the longest", 200, long, long, succeeded},
		{"a byte more", 200, long + "x", "", succeeded},
		{"far more", 200, long + long, "", succeeded},
		{"of a failure", 500, "done so far", "", retry},
		{"of a permanent failure", 422, "done so far", "", permanent},
		{"of a snooze", 503, "later", "", snoozed},
		{"of a redirect", 302, "see there", "", permanent},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %v", c.name, chunked), func(t *testing.T) {
				s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Retry-After", "5")
					if !chunked && c.body != "" {
						w.Header().Set("Content-Length", fmt.Sprint(len(c.body)))
					}
					w.WriteHeader(c.code)
					if chunked {
						w.(http.Flusher).Flush()
					}
					io.WriteString(w, c.body)
				})
				tt, run := someTask(), &lent{}
				h := newHTTP(t, HTTPConfig{URL: s.URL, Timeout: time.Minute})
				if err := h(run.under(t.Context(), tt), tt); outcomeOf(err) != c.end {
					t.Errorf("outcome is %v, want %s", err, c.end)
				}
				run.expect(t, c.want)
			})
		}
	}
}

// The Retry-After header of an answer is untrusted: invalid values are ignored, and valid ones are limited to between a
// second and a day. Pitfall 12 of docs/pitfalls.md.
func TestHTTPRetryAfterIsBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"5":                             5 * time.Second,
		"0":                             time.Second,
		"86400":                         24 * time.Hour,
		"86401":                         24 * time.Hour,
		"9223372036854775807":           24 * time.Hour,
		"99999999999999999999999999999": 24 * time.Hour,
		"Sun, 01 Mar 2026 12:10:00 GMT": 10 * time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT": time.Second, // past
		"Sun, 01 Mar 2099 11:00:00 GMT": 24 * time.Hour,
		"Mon, 01 Jan 0001 00:00:00 GMT": time.Second,
		"":                              0,
		"-1":                            0,
		"1.5":                           0,
		"2026-03-01T12:10:00Z":          0,
	} {
		got, ok := retryAfter(v, now)
		if got != want || ok != (want != 0) {
			t.Errorf("Retry-After %q: %v, %v; want %v", v, got, ok, want)
		}
	}
}

func TestHTTPErrorQuotesTheAnswerOnOneLine(t *testing.T) {
	s, h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, "no such\r\n\tmailbox\x1b[31m \xff "+strings.Repeat("x", 5000))
	})
	err := h(t.Context(), someTask())
	want := "post to " + s.URL + "/email: 500 Internal Server Error: no such mailbox[31m ? xxx"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("error is %v, want it to begin with %q", err, want)
	}
	if n := len(err.Error()); n > len(want)+maxAnswerText {
		t.Errorf("the error has %d bytes", n)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the query: %v", err)
	}
}

func TestHTTPRedirects(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		hops int
		want outcome
	}{
		{"temporary, keeps the method", 307, 1, succeeded},
		{"permanent, keeps the method", 308, maxHops, succeeded},
		{"too many", 307, maxHops + 1, permanent},
		{"would become a GET", 302, 1, permanent},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			left := c.hops
			s, h := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if left--; left >= 0 {
					http.Redirect(w, r, "/next", c.code)
					return
				}
				body, _ := io.ReadAll(r.Body)
				got = fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("ce-id"), " ", string(body), r.Header.Get("Referer"))
			})
			err := h(t.Context(), someTask())
			if outcomeOf(err) != c.want {
				t.Fatalf("outcome is %v, want %s", err, c.want)
			}
			if want := `POST /next 1 {"to":"a@example.com"}`; err == nil && got != want {
				t.Errorf("the service got %q, want %q", got, want)
			}
			if want := fmt.Sprintf(`post to %s/email: %d %s to "/next": not followed`, s.URL, c.code, http.StatusText(c.code)); err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error is %q, want it to begin with %q", err, want)
			}
		})
	}
}

func TestHTTPDoesNotFollowFromHTTPSToHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the payload travelled in the clear") }))
	defer plain.Close()
	s := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	h := newHTTP(t, HTTPConfig{URL: s.URL, Client: s.Client()})
	if err := h(t.Context(), someTask()); outcomeOf(err) != permanent {
		t.Errorf("outcome is %v, want a permanent failure", err)
	}
}

func TestHTTPConnectionsAreUsedAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		size int
	}{{"no body", 204, 0}, {"success", 200, 5000}, {"long success", 200, task.MaxResult}, {"long failure", 500, task.MaxResult}} {
		t.Run(c.name, func(t *testing.T) {
			var connections atomic.Int32
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.code)
				w.Write(make([]byte, c.size))
			}))
			s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			s.Start()
			defer s.Close()
			h := newHTTP(t, HTTPConfig{URL: s.URL})
			for range 5 {
				h(t.Context(), someTask())
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections for 5 tasks", n)
			}
		})
	}
}

func TestHTTPReadsNoMoreThanItsLimit(t *testing.T) {
	stopped := make(chan struct{})
	_, h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(stopped)
		for { // until the client hangs up
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	if err := h(t.Context(), someTask()); err != nil {
		t.Errorf("an endless answer of status 200 failed: %v", err)
	}
	<-stopped
}

func TestHTTPAnswerThatBreaksOffIsAFailure(t *testing.T) {
	_, h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "working on it")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	tt, run := someTask(), &lent{}
	if err := h(run.under(t.Context(), tt), tt); outcomeOf(err) != retry {
		t.Errorf("outcome is %v, want a failure to be tried again", err)
	}
	run.expect(t, "")
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	lost := errors.New("lease lost")
	for _, c := range []struct {
		name    string
		timeout time.Duration
		started bool // whether the service begins its answer
		want    error
	}{
		{"canceled before the answer", 0, false, lost},
		{"canceled in the answer", 0, true, lost},
		{"timeout before the answer", time.Millisecond, false, context.DeadlineExceeded},
		{"timeout in the answer", 50 * time.Millisecond, true, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) // or the server would not notice that the client left
				if c.started {
					w.(http.Flusher).Flush()
				}
				if c.timeout == 0 {
					cancel(lost)
				}
				<-r.Context().Done()
			}))
			defer s.Close()
			err := newHTTP(t, HTTPConfig{URL: s.URL, Timeout: c.timeout})(ctx, someTask())
			if !errors.Is(err, c.want) || outcomeOf(err) != retry {
				t.Errorf("error is %v, want a failure because of %v", err, c.want)
			}
			if c.timeout > 0 && !strings.Contains(err.Error(), "no complete answer within "+c.timeout.String()) {
				t.Errorf("error %q does not tell which timeout", err)
			}
		})
	}
}

// A transport of the caller may report the end of the context in words of its own.
func TestHTTPNamesTheCauseWhateverTheTransportSays(t *testing.T) {
	lost := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	h := newHTTP(t, HTTPConfig{URL: "http://host/", Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		cancel(lost)
		return nil, errors.New("broken pipe")
	})}})
	if err := h(ctx, someTask()); !errors.Is(err, lost) {
		t.Errorf("error is %v, want %v", err, lost)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHTTPRefusedConnectionIsAFailure(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	err := newHTTP(t, HTTPConfig{URL: strings.Replace(s.URL, "//", "//user:word@", 1) + "/a?key=secret"})(t.Context(), someTask())
	if outcomeOf(err) != retry || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error is %v, want a refused connection to be tried again", err)
	}
	if strings.Contains(err.Error(), "word") || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows a secret: %v", err)
	}
}

func TestHTTPConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		cfg  HTTPConfig
		want string
	}{
		{HTTPConfig{}, "must be absolute"},
		{HTTPConfig{URL: "localhost:9000/email"}, "must be absolute"},
		{HTTPConfig{URL: "ftp://host/"}, "must be absolute"},
		{HTTPConfig{URL: "http:///email"}, "must be absolute"},
		{HTTPConfig{URL: "http://user:word@host\x7f/"}, "parse url"},
		{HTTPConfig{URL: "http://host/", Timeout: -1}, "negative"},
	} {
		_, err := HTTP(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error is %v, want %q in it", c.cfg.URL, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "word") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestHTTPLeavesTheCallersClientAsItIs(t *testing.T) {
	c := NewClient()
	newHTTP(t, HTTPConfig{URL: "http://host/", Client: c})
	if c.CheckRedirect != nil {
		t.Error("CheckRedirect was set on the caller's client")
	}
}
