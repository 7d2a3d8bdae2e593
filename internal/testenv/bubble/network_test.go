package bubble

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// However a connection is read, each request is told once, before its end is read, and arrives as it was sent.
func TestBefore(t *testing.T) {
	sent := []byte("\x00\x00\x00\x02\x00\x0b" + "\x00\x00\x00\x05\x00\x00abc" + "\x00\x00\x00\x03\x00\x01d")
	for size := 1; size <= len(sent); size++ {
		var told []kmsg.Key
		here, there := net.Pipe()
		c := &served{Conn: there, before: func(k kmsg.Key) { told = append(told, k) }}
		go func() {
			if _, err := here.Write(sent); err != nil {
				t.Error(err)
			}
			here.Close()
		}()
		var got []byte
		for piece := make([]byte, size); ; {
			n, err := c.Read(piece)
			got = append(got, piece[:n]...)
			if err != nil {
				break
			}
		}
		if want := []kmsg.Key{kmsg.JoinGroup, kmsg.Produce, kmsg.Fetch}; !slices.Equal(told, want) || !bytes.Equal(got, sent) {
			t.Errorf("read by %d bytes: told %v of %q", size, told, got)
		}
	}
}

// What a connection says when it is closed at this end, and at the other.
func TestErrorsAreThoseOfTCP(t *testing.T) {
	var n Network
	if _, err := n.DialContext(t.Context(), "tcp", "localhost:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	l, err := n.Listen("tcp", "localhost:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair := func() (here, there net.Conn) {
		accepted := make(chan net.Conn)
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		here, err := n.DialContext(t.Context(), "tcp", "localhost:1")
		if err != nil {
			t.Fatal(err)
		}
		return here, <-accepted
	}

	here, there := pair()
	there.Close()
	if _, err := here.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a read after the other end was closed: %v", err)
	}
	if _, err := here.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write after the other end was closed: %v", err)
	}
	here.Close()

	here, there = pair()
	here.Close()
	if _, err := here.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read after a close: %v", err)
	}
	there.Close()
}
