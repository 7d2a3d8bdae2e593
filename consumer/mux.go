package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tasktier/tasktier/task"
)

// A Handler executes tasks of a type. Its context ends at the attempt's timeout and when the node gives the attempt
// up; [task.From] finds the task in it. What the returned error means is said in package task. A panic is a failure.
// Handlers are called concurrently.
type Handler func(ctx context.Context, t *task.Task) error

// Middleware wraps a handler with something that is done around every attempt.
type Middleware func(Handler) Handler

// A Mux maps task types to handlers. Handlers may be added and removed while nodes run: attempts that have started
// keep the handler they started with. The zero value is ready for use; all methods are safe for concurrent use.
type Mux struct {
	mu         sync.Mutex // serializes writers
	handlers   map[string]Handler
	middleware []Middleware
	routes     atomic.Pointer[map[string]Handler] // the wrapped handlers, replaced as a whole
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return &Mux{} }

// Handle registers h for tasks of type typ. A second handler for the same type is a mistake and an error.
func (m *Mux) Handle(typ string, h Handler) error {
	if typ == "" || h == nil {
		return fmt.Errorf("handle %q: type and handler must not be empty", typ)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.handlers[typ]; ok {
		return fmt.Errorf("handle %q: the type has a handler already", typ)
	}
	if m.handlers == nil {
		m.handlers = make(map[string]Handler)
	}
	m.handlers[typ] = h
	m.publish()
	return nil
}

// Remove takes the handler of typ away and says whether there was one.
func (m *Mux) Remove(typ string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.handlers[typ]
	delete(m.handlers, typ)
	m.publish()
	return ok
}

// Use adds middleware around every handler, those already registered too. The first added is the outermost.
func (m *Mux) Use(mw ...Middleware) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.middleware = append(m.middleware, mw...)
	m.publish()
}

// Types lists the types that have a handler, sorted.
func (m *Mux) Types() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	types := make([]string, 0, len(m.handlers))
	for t := range m.handlers {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// publish rebuilds the routes; m.mu is held.
func (m *Mux) publish() {
	routes := make(map[string]Handler, len(m.handlers))
	for typ, h := range m.handlers {
		for _, mw := range slices.Backward(m.middleware) {
			h = mw(h)
		}
		routes[typ] = h
	}
	m.routes.Store(&routes)
}

// route finds the handler of typ, or nil.
func (m *Mux) route(typ string) Handler {
	routes := m.routes.Load()
	if routes == nil {
		return nil
	}
	return (*routes)[typ]
}

// Handle registers fn for the tasks of d, their payload decoded. A payload that can't be decoded is a permanent failure:
// no attempt would read it better. It is an error if the type has a handler already.
func Handle[P any](m *Mux, d task.Type[P], fn func(ctx context.Context, payload P) error) error {
	if fn == nil {
		return fmt.Errorf("handle %q: the handler must not be nil", d.Name())
	}
	return m.Handle(d.Name(), func(ctx context.Context, t *task.Task) error {
		p, err := d.Decode(t)
		if err != nil {
			return task.Permanent(err)
		}
		return fn(ctx, p)
	})
}
