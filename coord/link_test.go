package coord_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A link is the network between one node and etcd, which a test can cut.
type link struct {
	to     string
	listen net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &link{to: to, listen: listen, conns: map[net.Conn]bool{}}
	l.wg.Go(l.accept)
	t.Cleanup(func() {
		_ = listen.Close()
		l.cut()
		l.wg.Wait()
	})
	return l
}

func (l *link) addr() string { return l.listen.Addr().String() }

func (l *link) accept() {
	for {
		near, err := l.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		if l.down {
			_, _ = near.Close(), far.Close()
		} else {
			l.conns[near], l.conns[far] = true, true
			l.wg.Go(func() { l.carry(near, far) })
			l.wg.Go(func() { l.carry(far, near) })
		}
		l.mu.Unlock()
	}
}

func (l *link) carry(to, from net.Conn) {
	_, _ = io.Copy(to, from) // ends when either end does
	_, _ = to.Close(), from.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, from)
}

// cut breaks all connections and refuses new ones, until heal.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for conn := range l.conns {
		_ = conn.Close()
	}
}

func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}
