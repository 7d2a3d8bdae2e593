package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tasktier/tasktier/internal/testenv"
)

// Emptied kills a Redis, which comes back without its data.
func Emptied(v *Victim, server *testenv.RedisServer, lasts Span) Fault {
	f := Killed(v, lasts)
	f.Name, f.Excuse = "emptied", Forgotten
	return during(f, func() error {
		return errors.Join(os.RemoveAll(server.DataDir()), os.Mkdir(server.DataDir(), 0o755))
	})
}

// during does something more while a fault lasts, at once when it has begun.
func during(f Fault, more func() error) Fault {
	hit := f.Hit
	f.Hit = func(ctx context.Context) (Wound, error) {
		w, err := hit(ctx)
		if err != nil {
			return w, err
		}
		if err := more(); err != nil {
			return Wound{}, errors.Join(err, w.Mend(ctx))
		}
		return w, nil
	}
	return f
}

// FailedOver kills a node of a Redis Cluster, or pauses it with pause, and mends it when it is back and the cluster serves as a
// whole: if the node was a master, and the fault lasted for longer than 3 s or so, as a replica of the one that has taken
// over. What a master had acknowledged last may be lost.
func FailedOver(v *Victim, cluster *testenv.RedisServers, pause bool, lasts Span) Fault {
	f := Killed(v, lasts)
	if pause {
		f = Paused(v, lasts)
	}
	f.Excuse |= RolledBack
	return Then(f, func(context.Context) error { return cluster.AwaitServing() })
}

// Then adds to how a fault is mended: it is when well has returned.
func Then(f Fault, well func(context.Context) error) Fault {
	hit := f.Hit
	f.Hit = func(ctx context.Context) (Wound, error) {
		w, err := hit(ctx)
		mend := w.Mend
		w.Mend = func(ctx context.Context) error {
			if err := mend(ctx); err != nil {
				return err
			}
			return well(ctx)
		}
		return w, err
	}
	return f
}

// Together is several faults at once, such as of two brokers of three. They are mended in the opposite order. Its target is
// a name for all of them; whom else of them a plan may hit meanwhile, the limit of their class has to say.
func Together(name, target string, lasts Span, faults ...Fault) Fault {
	all := Fault{Name: name, Target: target, Class: faults[0].Class, Lasts: lasts}
	for _, f := range faults {
		all.Excuse |= f.Excuse
	}
	all.Hit = func(ctx context.Context) (Wound, error) {
		var wounds []Wound
		mend := func(ctx context.Context) error {
			var errs []error
			for _, w := range slices.Backward(wounds) {
				errs = append(errs, w.Mend(ctx))
			}
			return errors.Join(errs...)
		}
		for _, f := range faults {
			w, err := f.Hit(ctx)
			if err != nil {
				return Wound{}, errors.Join(err, mend(ctx))
			}
			wounds = append(wounds, w)
		}
		return Wound{Mend: mend}, nil
	}
	return all
}

// EtcdLeader is the role of the member that leads. The victims are the members, in their order.
func EtcdLeader(cluster *testenv.EtcdCluster, victims []*Victim) Role {
	return func(context.Context) (*Victim, error) {
		leader, err := cluster.Leader()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBusy, err)
		}
		return victims[slices.Index(cluster.Members, leader)], nil
	}
}
