package nemesis_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/nemesis"
)

// echo is a server that says what it hears. It counts the bytes.
type echo struct {
	listener net.Listener
	mu       sync.Mutex
	heard    int
	news     chan struct{} // closed when more is heard
	serving  sync.WaitGroup
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := &echo{listener: l, news: make(chan struct{})}
	e.serving.Go(e.serve)
	t.Cleanup(func() {
		must(t, l.Close())
		e.serving.Wait()
	})
	return e
}

func (e *echo) serve() {
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			return
		}
		e.serving.Go(func() {
			defer conn.Close()
			buffer := make([]byte, 64<<10)
			for {
				n, err := conn.Read(buffer)
				e.hear(n)
				if _, wrong := conn.Write(buffer[:n]); err != nil || wrong != nil {
					return
				}
			}
		})
	}
}

func (e *echo) hear(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard += n
	close(e.news)
	e.news = make(chan struct{})
}

// await returns when so many bytes were heard.
func (e *echo) await(t *testing.T, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		e.mu.Lock()
		heard, news := e.heard, e.news
		e.mu.Unlock()
		if heard >= n {
			return
		}
		select {
		case <-news:
		case <-limit:
			t.Fatalf("the server heard %d bytes, want %d", heard, n)
		}
	}
}

func newProxy(t *testing.T, target string) *nemesis.Proxy {
	t.Helper()
	p, err := nemesis.NewProxy(target)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) }) // which waits for all that it runs; TestMain sees what it does not
	return p
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn.(*net.TCPConn)
}

func say(t *testing.T, conn net.Conn, words string) {
	t.Helper()
	_, err := io.WriteString(conn, words)
	must(t, err)
}

func hear(t *testing.T, conn net.Conn, words string) {
	t.Helper()
	got := make([]byte, len(words))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != words {
		t.Fatalf("heard %q (%v), want %q", got, err, words)
	}
}

// silent fails the test if something comes while a live server would have answered a hundred times over.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %d bytes, and %v, want silence", n, err)
	}
	must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
}

// refused fails the test unless a new connection is reset, at once or soon.
func refused(t *testing.T, p *nemesis.Proxy) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Addr(), time.Minute)
	if err == nil {
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection ended with %v, want a reset", err)
	}
}

func TestProxyForwards(t *testing.T) {
	p := newProxy(t, newEcho(t).listener.Addr().String())
	conn := dial(t, p.Addr())
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // more than all buffers
	var got []byte
	var reading sync.WaitGroup
	reading.Go(func() { got, _ = io.ReadAll(conn) })
	_, err := conn.Write(big)
	must(t, err)
	must(t, conn.CloseWrite()) // half an end: the other half is still heard
	reading.Wait()
	if !bytes.Equal(got, big) {
		t.Errorf("of %d bytes %d came back, or they are others", len(big), len(got))
	}
}

func TestProxyCuts(t *testing.T) {
	p := newProxy(t, newEcho(t).listener.Addr().String())
	conn := dial(t, p.Addr())
	say(t, conn, "a")
	hear(t, conn, "a")
	p.Cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, want a reset", err)
	}
	refused(t, p)
	p.Heal()
	healed := dial(t, p.Addr())
	say(t, healed, "b")
	hear(t, healed, "b")
}

func TestProxyHangs(t *testing.T) {
	e := newEcho(t)
	p := newProxy(t, e.listener.Addr().String())
	old := dial(t, p.Addr())
	say(t, old, "a")
	hear(t, old, "a")
	p.Hang()
	young := dial(t, p.Addr())
	say(t, old, "b")
	say(t, young, "c")
	silent(t, old)
	silent(t, young)
	if e.heard != 1 {
		t.Errorf("the server heard %d bytes, want the first alone", e.heard)
	}
	p.Heal()
	hear(t, old, "b")
	hear(t, young, "c")

	p.Hang() // and Close, in the cleanup, gets out of that
	say(t, old, "d")
	silent(t, old)
}

func TestProxyLosesReplies(t *testing.T) {
	e := newEcho(t)
	p := newProxy(t, e.listener.Addr().String())
	conn := dial(t, p.Addr())
	p.HangReplies()
	say(t, conn, "abc")
	e.await(t, 3)
	silent(t, conn)
	p.Cut()
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("heard %d bytes and %v, want a reset", n, err)
	}
}

func TestProxyDelays(t *testing.T) {
	p := newProxy(t, newEcho(t).listener.Addr().String())
	p.Delay(100*time.Millisecond, 50*time.Millisecond)
	conn := dial(t, p.Addr())
	const n = 20
	start := time.Now()
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range n {
			say(t, conn, string(rune('a'+i)))
			<-time.After(5 * time.Millisecond) // so that they pass one by one
		}
	})
	hear(t, conn, "a")
	if got := time.Since(start); got < 100*time.Millisecond {
		t.Errorf("there and back took %s, want 2 × 50 ms at least", got)
	}
	hear(t, conn, "bcdefghijklmnopqrst") // in order
	// Delays run beside each other.
	if got := time.Since(start); got > n*100*time.Millisecond {
		t.Errorf("%d messages took %s", n, got)
	}
	writing.Wait()
}

func TestProxyThrottles(t *testing.T) {
	p := newProxy(t, newEcho(t).listener.Addr().String())
	p.Throttle(100_000)
	conn := dial(t, p.Addr())
	start := time.Now()
	words := string(bytes.Repeat([]byte("x"), 50_000))
	say(t, conn, words)
	hear(t, conn, words)
	// The last piece of each way is not waited for.
	if got := time.Since(start); got < 300*time.Millisecond {
		t.Errorf("50 kB at 100 kB/s took %s", got)
	}
}

func TestProxyOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	refused(t, newProxy(t, l.Addr().String()))
}
