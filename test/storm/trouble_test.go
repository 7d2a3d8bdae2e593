package storm

import "github.com/tasktier/tasktier/test/history"

// A trouble is a fault between a member and a server.
type trouble struct {
	fault history.Event
	lives []string // that have met it
}

// trouble writes that a fault begins, and does so again when a life begins meanwhile. It returns what writes its end.
func (m *member) trouble(e history.Event) (over func() error, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &trouble{fault: e}
	m.troubles[e.Name] = t
	return func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.troubles, e.Name)
		for _, life := range t.lives {
			if err := m.events.Write(t.of(life, history.Mended)); err != nil {
				return err
			}
		}
		return nil
	}, m.meets(t)
}

// meets writes that the present life has a trouble. m.mu is held.
func (m *member) meets(t *trouble) error {
	t.lives = append(t.lives, m.life)
	return m.events.Write(t.of(m.life, history.Fault))
}

func (t *trouble) of(life string, kind history.Kind) history.Event {
	e := t.fault
	e.Kind, e.Target = kind, life
	if life != t.lives[0] {
		e.Name += " " + life
	}
	return e
}
