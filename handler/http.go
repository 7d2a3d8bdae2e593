package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

const (
	// maxAnswer bounds what is read of an answer's body, in bytes: by one more than a result may have, to tell that it is
	// too long for one. Such a body costs its connection.
	maxAnswer = task.MaxResult + 1
	// maxAnswerText bounds what an error quotes of it.
	maxAnswerText = 1 << 10
	// maxHops bounds the redirects followed in one attempt.
	maxHops = 3

	// minSnooze and maxSnooze bound what Retry-After may ask for. A service that asks for nothing must not be asked
	// again in a tight loop, since a snooze uses no attempt; one that asks for years is asked again tomorrow.
	minSnooze = time.Second
	maxSnooze = 24 * time.Hour
)

// HTTPConfig says where and how tasks are posted.
type HTTPConfig struct {
	// URL is the service's address: http or https, absolute. User and password in it become basic authentication. The
	// query is sent, but left out of errors, as it may hold a secret.
	URL string
	// Timeout bounds one request, from connecting to the end of the answer. 0: only the attempt's own timeout does.
	Timeout time.Duration
	// Client sends the requests; the caller owns it. Nil: a new one, as [NewClient] makes it, whose idle connections
	// close by themselves within seconds. Its CheckRedirect, if set, replaces the rule said at [HTTP].
	Client *http.Client
}

// HTTP returns a handler that posts each task to a service in the CloudEvents HTTP binding, binary mode: the payload is
// the body, each attribute a header (ce-id, ce-type, …), with ce-ttqueue, ce-ttgeneration, ce-ttturn and ce-ttattempt to
// say which run this is, its fencing token in ce-ttfence, and in ce-ttslot that of its slot if its type has a limit: decimal
// integers, which [task.Fence] and [task.Slot] describe. Without a token its header is left out. Kafka headers other than CloudEvents attributes are not passed on.
//
// The answer decides:
//
//	2xx                            succeeded
//	429 and 503 with Retry-After   snoozed for that long, at least 1 s and at most 24 h
//	408, 425, other 429, 5xx       failed, to be tried again
//	other 4xx                      permanent failure
//	3xx                            permanent failure, except 307 and 308: followed, 3 times at most and never from
//	                               https to http. Other redirects would turn the POST into a GET without payload
//
// The body of a 2xx is kept as the task's result, byte for byte (see [task.Result]). An empty one is none, and one of more
// than 64 KiB ([task.MaxResult]) is not kept, not even in part; the task has succeeded all the same. Of a failure, the
// start of the body is quoted in the error.
//
// No answer, for any reason, is a failure to be tried again. So is an answer that breaks off within its first 64 KiB,
// whatever its status: a service that streams has promised nothing before it is done.
//
// A task that can't be expressed as a binary HTTP message is a permanent failure. HTTP fails if the config is wrong.
func HTTP(cfg HTTPConfig) (consumer.Handler, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // leave out the URL, which may hold a password
			err = ue.Err
		}
		return nil, fmt.Errorf("http handler: parse url: %w", err)
	}
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("http handler: url %q must be absolute and begin with http:// or https://", shown)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("http handler: timeout is %v, must not be negative", cfg.Timeout)
	}
	client := cfg.Client
	if client == nil {
		client = NewClient()
	}
	if client.CheckRedirect == nil {
		c := *client // the caller's stays as it is
		c.CheckRedirect = followWithBody
		client = &c
	}
	p := &poster{url: u.String(), shown: shown, timeout: cfg.Timeout, client: client}
	return p.handle, nil
}

// NewClient returns a client for several [HTTP] handlers to share: it keeps up to 256 idle connections to each service,
// so that hundreds of concurrent attempts don't connect anew. Call CloseIdleConnections when the last attempt is over.
func NewClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 256,
		// Common servers close idle connections after 5 s. A POST that meets the closing fails, as nobody can tell
		// whether it arrived: be the one who closes first. Under load no connection is idle that long.
		IdleConnTimeout:     4 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,

		MaxResponseHeaderBytes: 64 << 10,
	}}
}

type poster struct {
	url, shown string // shown: without user, password and query
	timeout    time.Duration
	client     *http.Client
}

func (p *poster) handle(ctx context.Context, t *task.Task) error {
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.timeout,
			fmt.Errorf("no complete answer within %v: %w", p.timeout, context.DeadlineExceeded))
		defer cancel()
	}
	header, err := eventHeader(t, tokensOf(ctx))
	if err != nil {
		return task.Permanent(fmt.Errorf("post to %s: %w", p.shown, err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(t.Payload))
	if err != nil {
		return fmt.Errorf("post to %s: %w", p.shown, err)
	}
	req.Header = header
	resp, err := p.client.Do(req)
	if err != nil {
		return p.broken(ctx, err)
	}
	defer resp.Body.Close()
	return p.judge(ctx, resp)
}

// judge reads the answer, so that its connection can be used again, and says what it means.
func (p *poster) judge(ctx context.Context, resp *http.Response) error {
	answer := io.LimitReader(resp.Body, maxAnswer)
	code := resp.StatusCode
	if code >= 200 && code <= 299 {
		body, err := io.ReadAll(answer)
		if err != nil {
			return p.broken(ctx, err)
		}
		keep(ctx, body)
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer, maxAnswerText))
	if err == nil {
		io.Copy(io.Discard, answer) //nolint:errcheck // it has failed in any case
	}
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		if d, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return task.Snooze(d)
		}
	}
	failure := fmt.Errorf("post to %s: %s", p.shown, strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code))))
	if code >= 300 && code <= 399 {
		return task.Permanent(fmt.Errorf("%w to %s: not followed; set the handler's url to where it should go",
			failure, quote(resp.Header.Get("Location"))))
	}
	if said := oneLine(text); said != "" {
		failure = fmt.Errorf("%w: %s", failure, said)
	}
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return failure
	}
	if code >= 400 && code <= 499 {
		return task.Permanent(failure)
	}
	return failure
}

// broken describes a request without a complete answer. If the context ended, that is the cause, whatever it did to
// the connection.
func (p *poster) broken(ctx context.Context, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) { // names the whole URL
		err = ue.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("post to %s: %w", p.shown, err)
}

// followWithBody follows the redirects that repeat the request as it is. The others are handed to judge as the answer.
func followWithBody(req *http.Request, via []*http.Request) error {
	downgrade := via[0].URL.Scheme == "https" && req.URL.Scheme != "https"
	if req.Method != http.MethodPost || len(via) > maxHops || downgrade {
		return http.ErrUseLastResponse
	}
	req.Header.Del("Referer") // would show the first URL's query to the next host
	return nil
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or a date. What is neither counts as absent.
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	var d time.Duration
	if s, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(s, uint64(maxSnooze/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(d, minSnooze), maxSnooze), true
}
