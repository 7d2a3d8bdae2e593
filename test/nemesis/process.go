package nemesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Process is what can be killed and comes back: a node, or one of testenv's servers. The methods return when it is
// done, and what is done already is no error.
type Process interface {
	Start() error
	Kill() error   // SIGKILL, and waits for the end
	Stop() error   // SIGTERM, and waits for the end
	Pause() error  // SIGSTOP
	Resume() error // SIGCONT
}

// A Victim is a process with a name. Faults that share one never hit it while another has it.
type Victim struct {
	Name    string
	Class   Class
	Process Process

	mu sync.Mutex // held while a fault has it
}

// ErrBusy is what a fault returns that finds nobody to hit: another one has its victim, or nobody plays the role.
var ErrBusy = errors.New("there is nobody to hit")

// A Role finds whom a fault hits when it happens: the node that leads, say, or forwards.
type Role func(ctx context.Context) (*Victim, error)

// Only is the role of somebody who is always the same.
func Only(v *Victim) Role { return func(context.Context) (*Victim, error) { return v, nil } }

// Killed ends the victim with SIGKILL and starts it again.
func Killed(v *Victim, lasts Span) Fault { return RoleKilled(v.Name, v.Class, Only(v), lasts) }

// Paused stops the victim with SIGSTOP, without its knowing, and lets it go on. For longer than a node's lease it costs
// the node its session; etcd paused for that long costs all nodes theirs.
func Paused(v *Victim, lasts Span) Fault { return RolePaused(v.Name, v.Class, Only(v), lasts) }

// Stopped asks the victim to end with SIGTERM and starts it again. A node excuses nothing by it, unless a handler outlives
// its drain or it can't reach Redis meanwhile.
func Stopped(v *Victim, lasts Span) Fault { return RoleStopped(v.Name, v.Class, Only(v), lasts) }

// RoleKilled is Killed for whoever plays the role at the time.
func RoleKilled(role string, class Class, find Role, lasts Span) Fault {
	excuses := map[Class]Excuse{Node: Died, Etcd: SessionLost}
	return Fault{Name: "killed", Target: role, Class: class, Lasts: lasts, Excuse: excuses[class], Hit: hit(find, Process.Kill, Process.Start)}
}

// RolePaused is Paused for whoever plays the role at the time.
func RolePaused(role string, class Class, find Role, lasts Span) Fault {
	excuses := map[Class]Excuse{Node: SessionLost, Etcd: SessionLost}
	return Fault{Name: "paused", Target: role, Class: class, Lasts: lasts, Excuse: excuses[class], Hit: hit(find, Process.Pause, Process.Resume)}
}

// RoleStopped is Stopped for whoever plays the role at the time.
func RoleStopped(role string, class Class, find Role, lasts Span) Fault {
	excuses := map[Class]Excuse{Etcd: SessionLost}
	return Fault{Name: "stopped", Target: role, Class: class, Lasts: lasts, Excuse: excuses[class], Hit: hit(find, Process.Stop, Process.Start)}
}

// hit takes whom find names, harms it, and gives it back when it is mended.
func hit(find Role, harm, mend func(Process) error) func(context.Context) (Wound, error) {
	return func(ctx context.Context) (Wound, error) {
		v, err := find(ctx)
		if err != nil {
			return Wound{}, err
		}
		if !v.mu.TryLock() {
			return Wound{}, fmt.Errorf("hit %s: %w", v.Name, ErrBusy)
		}
		if err := harm(v.Process); err != nil {
			err = errors.Join(err, mend(v.Process))
			v.mu.Unlock()
			return Wound{}, fmt.Errorf("hit %s: %w", v.Name, err)
		}
		return Wound{Whom: v.Name, Mend: func(context.Context) error {
			defer v.mu.Unlock()
			if err := mend(v.Process); err != nil {
				return fmt.Errorf("mend %s: %w", v.Name, err)
			}
			return nil
		}}, nil
	}
}

// Between is the span from least to most.
func Between(least, most time.Duration) Span { return Span{least, most} }
