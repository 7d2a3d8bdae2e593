package bubble

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

// A link that is cut closes its connections and refuses new ones; a restored link connects again.
func TestLinkCutAndRestored(t *testing.T) {
	var ends []net.Conn
	l := NewLink(func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		ends = append(ends, near, far)
		return near, nil
	})
	defer func() {
		for _, c := range ends {
			c.Close()
		}
	}()
	before, err := l.Dial(t.Context(), "tcp", "localhost:1")
	if err != nil {
		t.Fatal(err)
	}
	l.Cut()
	if _, err := before.Write([]byte{1}); err == nil {
		t.Error("a connection works though its link is cut")
	}
	if _, err := l.Dial(t.Context(), "tcp", "localhost:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial over a link that is cut: %v, want connection refused", err)
	}
	l.Restore()
	if _, err := l.Dial(t.Context(), "tcp", "localhost:1"); err != nil {
		t.Errorf("dial over a restored link: %v", err)
	}
}
