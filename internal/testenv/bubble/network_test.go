package bubble

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

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
