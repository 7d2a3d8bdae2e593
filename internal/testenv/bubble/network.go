package bubble

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Network connects listeners and those who dial on "localhost", in memory. It is kfake's, and its connections fail with
// the errors that TCP has: clients tell by them what is worth another try, and would give up a group's session for the
// error of a pipe. The zero value is ready.
type Network struct {
	virtual kfake.VirtualNetwork

	// Before is called with the key of each request of Kafka's protocol, before the broker has it, and may take its time: what
	// comes behind it on the same connection waits too. ([kfake.Cluster.SleepControl] is a data race when one request, or the
	// next on its connection, sleeps again.) It is set before anyone dials, or nil.
	Before func(kmsg.Key)
}

// Listen is for [kfake.ListenFn].
func (n *Network) Listen(network, address string) (net.Listener, error) {
	l, err := n.virtual.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &listener{l, n}, nil
}

type listener struct {
	net.Listener
	network *Network
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.network.Before == nil {
		return c, err
	}
	return &served{Conn: c, before: l.network.Before}, nil
}

// A served connection is the broker's end of one.
type served struct {
	net.Conn
	before func(kmsg.Key)
	head   []byte // of the request that is being read: four bytes of length, two of the key
	left   int    // bytes of it behind those
}

func (c *served) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for b = b[:n]; len(b) > 0; {
		if len(c.head) < 6 {
			k := min(6-len(c.head), len(b))
			c.head, b = append(c.head, b[:k]...), b[k:]
			if len(c.head) < 6 {
				break
			}
			c.left = int(binary.BigEndian.Uint32(c.head)) - 2
			c.before(kmsg.Key(binary.BigEndian.Uint16(c.head[4:])))
		}
		k := min(c.left, len(b))
		c.left, b = c.left-k, b[k:]
		if c.left == 0 {
			c.head = c.head[:0]
		}
	}
	return n, err
}

// DialContext is for [kgo.Dialer]. Where nobody listens, the connection is refused.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.virtual.DialContext(ctx, network, address)
	switch {
	case err == nil:
		return &conn{c}, nil
	case ctx.Err() != nil:
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	default:
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
}

type conn struct{ net.Conn }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, asTCP("read", err, net.ErrClosed) // that the other end has closed is io.EOF in both
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, asTCP("write", err, os.NewSyscallError("write", syscall.EPIPE))
}

// asTCP puts what TCP says in the place of a pipe's own error.
func asTCP(op string, err, tcp error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return &net.OpError{Op: op, Net: "tcp", Err: tcp}
	}
	return err
}
