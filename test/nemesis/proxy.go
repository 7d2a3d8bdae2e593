package nemesis

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Proxy forwards the connections that it takes on a port of loopback to one server, and is the place where a network
// goes wrong. A new one forwards and does no harm. One trouble at a time: each of the methods takes the place of what
// was before. They return at once, and hold for connections that are open as for those to come.
type Proxy struct {
	target   string
	listener net.Listener

	mu      sync.Mutex
	trouble trouble
	changed chan struct{} // closed when trouble is another one
	links   map[*link]struct{}
	closed  bool

	open sync.WaitGroup
}

// A trouble is what a proxy does to the bytes that pass.
type trouble struct {
	cut           bool
	hold          [2]bool // by direction
	delay, jitter time.Duration
	rate          int // bytes/s and direction; 0: as fast as can be
}

// The directions of bytes.
const (
	toServer = iota
	toClient
)

// NewProxy listens on a free port of loopback and forwards to target, host:port. The caller closes it.
func NewProxy(target string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for proxy of %s: %w", target, err)
	}
	p := &Proxy{
		target: target, listener: listener,
		changed: make(chan struct{}), links: make(map[*link]struct{}),
	}
	p.open.Go(p.accept)
	return p, nil
}

// Addr is what clients connect to in place of the server.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets all connections and, until it is healed, every new one as soon as it is made. What was on its way is lost.
// (A port that refuses would have to be given up for the while, and somebody else might take it.)
func (p *Proxy) Cut() { p.set(trouble{cut: true}) }

// Hang lets no byte pass in either direction. Connections stay open, new ones can be made, and what is sent waits and
// passes when the proxy is healed, as long as buffers last; ends of connections wait with it.
func (p *Proxy) Hang() { p.set(trouble{hold: [2]bool{true, true}}) }

// HangReplies is Hang for what the server says: requests reach it, and nobody hears that they did. Followed by Cut, the
// replies are lost.
func (p *Proxy) HangReplies() { p.set(trouble{hold: [2]bool{toClient: true}}) }

// Delay keeps bytes for so long in each direction, more or less by up to jitter. Their order stays.
func (p *Proxy) Delay(by, jitter time.Duration) { p.set(trouble{delay: by, jitter: jitter}) }

// Throttle lets so many bytes a second pass, in each direction of each connection.
func (p *Proxy) Throttle(rate int) { p.set(trouble{rate: rate}) }

// Heal ends the trouble.
func (p *Proxy) Heal() { p.set(trouble{}) }

// Close heals nothing: it ends all connections and the listener, and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	err := p.listener.Close()
	p.resetAll()
	p.mu.Unlock()
	p.open.Wait()
	return err
}

func (p *Proxy) set(t trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = t
	close(p.changed)
	p.changed = make(chan struct{})
	if t.cut {
		p.resetAll()
	}
}

func (p *Proxy) resetAll() {
	for l := range p.links {
		l.reset()
	}
}

// now is the trouble of the moment, and a channel that is closed when that is over.
func (p *Proxy) now() (trouble, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble, p.changed
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed: a listener on loopback has no other end
		}
		client := conn.(*net.TCPConn)
		p.mu.Lock()
		if p.closed || p.trouble.cut {
			p.mu.Unlock()
			abort(client)
			continue
		}
		l := newLink(p, client)
		p.links[l] = struct{}{}
		p.open.Go(l.run)
		p.mu.Unlock()
	}
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// abort closes with a reset, not in order.
func abort(conn *net.TCPConn) {
	// Neither can fail in a way that matters: the other side may have been quicker.
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
