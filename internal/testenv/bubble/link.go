package bubble

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// A Dialer opens connections, as [net.Dialer.DialContext] and [Network.DialContext] do.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// A Link is the path from one client to its servers. A test can cut it and restore it.
type Link struct {
	dial Dialer

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

// NewLink returns a link whose connections are opened with dial.
func NewLink(dial Dialer) *Link { return &Link{dial: dial} }

// Dial is a [Dialer]. While the link is cut, it fails as if nobody listened.
func (l *Link) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	conn, err := l.dial(ctx, network, address)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

// Cut closes all connections and refuses new ones until [Link.Restore].
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// Restore lets clients connect again.
func (l *Link) Restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}
