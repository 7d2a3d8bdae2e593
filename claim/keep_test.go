package claim

import (
	"testing"
	"time"
)

const mintedID = "01890a5d-ac96-774b-bcce-b302099a8057"

// The expiry that a run's claim was given suits its outcome only if that is kept neither shorter nor much longer.
func TestExpiryThatLasts(t *testing.T) {
	now := time.Now()
	run := func(ago time.Duration, flags Flags) Claim {
		return Claim{State: Running, Flags: flags, Fence: now.Add(-ago).UnixMicro()}
	}
	hour, short := Window{}.withDefaults(), Window{Minted: 10 * time.Minute}.withDefaults()
	for name, c := range map[string]struct {
		w    Window
		run  Claim
		keep time.Duration
		id   string
		want bool
	}{
		"a quick run":                   {hour, run(time.Second, 0), time.Hour, mintedID, true},
		"of a minute":                   {hour, run(quick-time.Millisecond, 0), time.Hour, mintedID, true},
		"of longer":                     {hour, run(quick+time.Millisecond, 0), time.Hour, mintedID, false},
		"begun in the future":           {hour, run(-time.Second, 0), time.Hour, mintedID, false},
		"to be canceled":                {hour, run(time.Second, CancelAsked), time.Hour, mintedID, false},
		"that is to be kept for longer": {hour, run(time.Second, 0), 2 * time.Hour, mintedID, false},
		"of a chosen id":                {hour, run(time.Second, 0), 24 * time.Hour, "order-7", false},
		"kept for less than a run":      {short, run(time.Second, 0), 10 * time.Minute, mintedID, false},
		"no run":                        {hour, Claim{State: Dying, Fence: now.UnixMicro()}, time.Hour, mintedID, false},
	} {
		if got := c.w.lasts(c.run, c.keep, c.id, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// However a run went, its claim is kept for its window, and at most a minute longer.
func TestOutcomesAreKeptForTheirWindow(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		for name, prepare := range map[string]func(h *Hold){
			"quick": func(*Hold) {},
			"slow": func(h *Hold) { // it began two minutes ago, and what Redis keeps runs out soon
				h.mu.Lock()
				h.have.Fence -= (2 * quick).Microseconds()
				h.text = h.have.String()
				s.client.Set(t.Context(), h.name, h.text, time.Minute)
				h.mu.Unlock()
			},
			"flushed meanwhile": func(h *Hold) { s.client.Del(t.Context(), h.name) },
		} {
			t.Run(name, func(t *testing.T) {
				h := node.won(hold(mintedID, 0, 1, 1))
				prepare(h)
				mustWrite(t, node.finish(h, Outcome{State: Succeeded}))
				if d := kept(t, s, h.identity()); d < time.Hour-patience || d > time.Hour+quick {
					t.Errorf("kept for %v, want an hour", d)
				}
				s.client.Del(t.Context(), h.name)
			})
		}
	})
}
