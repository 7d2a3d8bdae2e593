package nemesis

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	chunkBytes = 16 << 10
	// chunksAhead bounds what a direction of a link keeps. Past it the sender's own buffers fill, and it waits.
	chunksAhead = 64
)

// A link is one connection through a proxy: two sockets, and for each direction one goroutine that reads and one that
// writes, so that bytes that are delayed do not delay those behind them once more.
type link struct {
	proxy *Proxy
	ctx   context.Context // ends with the link
	end   context.CancelFunc

	mu      sync.Mutex
	sockets []*net.TCPConn // the client's, and once it is dialed the server's
}

// A chunk is some bytes and when they may pass, after those before them. That without bytes is how the sender ended: io.EOF is in order.
type chunk struct {
	bytes []byte
	due   time.Time
	err   error
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	ctx, end := context.WithCancel(context.Background())
	return &link{proxy: p, ctx: ctx, end: end, sockets: []*net.TCPConn{client}}
}

// reset ends the link, and both sides see a reset.
func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	for _, s := range l.sockets {
		abort(s)
	}
}

// run carries bytes until both directions have ended, one has failed, or the link is reset.
func (l *link) run() {
	defer l.proxy.forget(l)
	defer l.end()
	conn, err := (&net.Dialer{}).DialContext(l.ctx, "tcp", l.proxy.target)
	if err != nil {
		l.reset() // the server is away, and so are we
		return
	}
	client, server := l.sockets[0], conn.(*net.TCPConn)
	l.mu.Lock()
	l.sockets = append(l.sockets, server)
	l.mu.Unlock()
	if l.ctx.Err() != nil {
		l.reset() // it was, before it had the second socket
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.carry(client, server, toServer) })
	both.Go(func() { l.carry(server, client, toClient) })
	both.Wait()
	_, _ = client.Close(), server.Close() // both have ended in order, or are closed already
}

// carry moves the bytes of one direction.
func (l *link) carry(from, to *net.TCPConn, direction int) {
	chunks := make(chan chunk, chunksAhead)
	var reading sync.WaitGroup
	reading.Go(func() { l.read(from, chunks) })
	if !l.write(to, chunks, direction) {
		l.reset()
	}
	reading.Wait()
}

// read ends with the connection.
func (l *link) read(from *net.TCPConn, chunks chan<- chunk) {
	defer close(chunks)
	for {
		buffer := make([]byte, chunkBytes)
		n, err := from.Read(buffer)
		t, _ := l.proxy.now()
		due := time.Now().Add(around(t.delay, t.jitter))
		if n > 0 && !l.keep(chunks, chunk{bytes: buffer[:n], due: due}) {
			return
		}
		if err != nil {
			l.keep(chunks, chunk{err: err, due: due})
			return
		}
	}
}

func (l *link) keep(chunks chan<- chunk, c chunk) bool {
	select {
	case chunks <- c:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// write says whether the direction ended in order.
func (l *link) write(to *net.TCPConn, chunks <-chan chunk, direction int) bool {
	for c := range chunks {
		if !l.wait(time.Until(c.due)) || !l.pass(direction) {
			return false
		}
		if c.err != nil {
			return errors.Is(c.err, io.EOF) && to.CloseWrite() == nil
		}
		if _, err := to.Write(c.bytes); err != nil {
			return false
		}
		if t, _ := l.proxy.now(); t.rate > 0 && !l.wait(time.Duration(len(c.bytes))*time.Second/time.Duration(t.rate)) {
			return false
		}
	}
	return false
}

// pass waits while bytes of the direction are held.
func (l *link) pass(direction int) bool {
	for {
		t, changed := l.proxy.now()
		if !t.hold[direction] {
			return l.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return false
		}
	}
}

func (l *link) wait(d time.Duration) bool {
	if d <= 0 {
		return l.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// around is by, more or less by up to width, and never less than nothing. It has no seed: the kernel's own delays come on
// top of it, so no run would repeat it.
func around(by, width time.Duration) time.Duration {
	if width <= 0 {
		return by
	}
	return max(0, by-width+rand.N(2*width+1))
}
