package bubble

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A Network connects listeners and those who dial on "localhost", in memory. It is kfake's, and its connections fail with
// the errors that TCP has: clients tell by them what is worth another try, and would give up a group's session for the
// error of a pipe. The zero value is ready.
type Network struct{ virtual kfake.VirtualNetwork }

// Listen is for [kfake.ListenFn].
func (n *Network) Listen(network, address string) (net.Listener, error) {
	return n.virtual.Listen(network, address)
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
