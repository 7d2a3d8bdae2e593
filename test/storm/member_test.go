package storm

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/internal/child"
	"github.com/tasktier/tasktier/test/nemesis"
)

// A member is one of the crew: a process that is started again when it ends, as an init system would, unless a fault or the
// end of the storm has ended it. It is what the nemesis hits (nemesis.Process), and writes down what becomes of its lives.
type member struct {
	name   string
	binary string
	log    string
	events *history.Writer
	orders orders         // but for the name of the life
	clock  *nemesis.Clock // nil: the right one

	mu       sync.Mutex
	lives    int
	process  *child.Process
	life     string              // the name of the last life
	wanted   bool                // it is to live
	asked    bool                // the last life was asked to end
	troubles map[string]*trouble // between it and servers now
	closing  chan struct{}       // closed by close
	err      error               // the first thing that could not be written or started
	watched  sync.WaitGroup
}

func newMember(dir, binary, name string, events *history.Writer, o orders) *member {
	return &member{
		name: name, binary: binary, log: filepath.Join(dir, name+".log"), events: events, orders: o,
		troubles: make(map[string]*trouble), closing: make(chan struct{}),
	}
}

// notBegun is the exit code of a node that could not begin, because a server was away.
const notBegun = 4

// again is how long a process that ended by itself stays away.
const again = 300 * time.Millisecond

// Start starts it, if it does not run.
func (m *member) Start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = true
	if m.process != nil && !m.process.Ended() {
		return nil
	}
	return m.live()
}

// live begins a life. m.mu is held.
func (m *member) live() error {
	m.lives++
	m.life = fmt.Sprintf("%s.%d", m.name, m.lives)
	o := m.orders
	o.Process = m.life
	env := []string{asCrew + "=" + o.String()}
	if m.clock != nil {
		env = append(env, m.clock.Env())
	}
	p, err := child.Start(child.Command{Path: m.binary, Env: env, Log: m.log})
	if err != nil {
		return err
	}
	m.process, m.asked = p, false
	for _, t := range m.troubles {
		if err := m.meets(t); err != nil {
			return err
		}
	}
	life := m.life
	m.watched.Go(func() { m.watch(p, life) })
	return nil
}

// watch writes down how a life ends, and begins the next one.
func (m *member) watch(p *child.Process, life string) {
	code := p.Code()
	m.mu.Lock()
	e := history.Event{Kind: history.Died, Target: life}
	if m.asked && code >= 0 || code == notBegun {
		e.Kind = history.Stopped // perhaps with an error: a handler may outlive the drain
	}
	m.note(m.events.Write(e))
	m.mu.Unlock()
	select {
	case <-m.closing:
		return
	case <-time.After(again):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wanted && m.process == p {
		m.note(m.live())
	}
}

// note keeps an error. m.mu is held.
func (m *member) note(err error) { m.err = errors.Join(m.err, err) }

// Kill ends it with SIGKILL.
func (m *member) Kill() error {
	p, err := m.end(history.Killed, syscall.SIGKILL)
	if p != nil {
		<-p.Done()
	}
	return err
}

// stopLimit is how long a process may take to end in order: longer than a node drains, waits for Redis and gives up.
const stopLimit = 90 * time.Second

// Stop asks it to end and waits for that. How it ended is in the history: a handler may outlive the drain.
func (m *member) Stop() error {
	p, err := m.end(0, syscall.SIGTERM)
	if p == nil || err != nil {
		return err
	}
	select {
	case <-p.Done():
		return nil
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("stop %s: it has not ended after %s", m.name, stopLimit), m.Kill())
	}
}

// end sends a signal that ends a life, after writing that down if it has a word for it.
func (m *member) end(word history.Kind, s syscall.Signal) (*child.Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted, m.asked = false, s == syscall.SIGTERM
	return m.process, m.signal(word, s)
}

// Pause stops it without its knowing.
func (m *member) Pause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.signal(history.Paused, syscall.SIGSTOP)
}

// Resume lets it go on.
func (m *member) Resume() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.signal(history.Resumed, syscall.SIGCONT)
}

// signal sends a signal to the life there is. m.mu is held.
func (m *member) signal(word history.Kind, s syscall.Signal) error {
	if m.process == nil || m.process.Ended() {
		return nil
	}
	if word != 0 {
		if err := m.events.Write(history.Event{Kind: word, Target: m.life}); err != nil {
			return err
		}
	}
	return m.process.Signal(s)
}

// present is the name of the present life, or of the last one.
func (m *member) present() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

// close ends it if it lives, and everything that goes on about it.
func (m *member) close() error {
	close(m.closing)
	err := m.Kill()
	m.watched.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(err, m.err)
}
