package limit

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// leaveLimit is how long giving back what is left at the end may take.
const leaveLimit = 2 * time.Second

// withdraw gives back what nobody uses, however that stands with etcd. It need not succeed: all goes with the session at the latest.
func (s *sitting) withdraw(ctx context.Context) {
	if s.Lease.Context().Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	err := s.load(ctx)
	if err == nil {
		for steps := s.leftover(); len(steps) > 0 && err == nil; {
			n := min(batch, len(steps))
			_, _, err = commit(ctx, s.cfg.Client, s.keys, s.mine, steps[:n])
			steps = steps[n:]
		}
	}
	if err != nil {
		s.cfg.Log.Warn("could not give the slots of limited types back; others wait for them until this session is over", zap.Error(err))
	}
}

// leftover are the steps that delete all that is ours and not in use.
func (s *sitting) leftover() []step {
	s.mu.Lock()
	defer s.mu.Unlock()
	var steps []step
	for typ, seats := range s.view.types {
		inUse := make(map[int64]map[int]bool)
		if k := s.kinds[typ]; k != nil {
			for _, p := range k.places {
				if p.state == used {
					if inUse[p.slot.Token] == nil {
						inUse[p.slot.Token] = make(map[int]bool)
					}
					inUse[p.slot.Token][p.slot.Number] = true
				}
			}
		}
		for number, e := range seats.slots {
			if e.ours && !inUse[e.token][number] {
				steps = append(steps, step{typ: typ, do: give, number: number, token: e.token})
			}
		}
		if e := seats.line[s.mine.session]; e.ours {
			steps = append(steps, step{typ: typ, do: tear, token: e.token})
		}
	}
	return steps
}
