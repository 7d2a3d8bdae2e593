package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// ttl is how long a lock outlives a holder that died, in seconds.
	ttl = 10
	// patience bounds each question to etcd.
	patience = 5 * time.Second
	// pause is between two tries to see who has the lock.
	pause = time.Second
)

// A Holder says who has a lock. It is shown to others.
type Holder struct {
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

func (h Holder) String() string {
	if h == (Holder{}) {
		return "somebody"
	}
	return fmt.Sprintf("process %d on %s, since %s", h.PID, h.Host, h.Since.UTC().Format(time.RFC3339))
}

// A HeldError says that somebody else has the lock.
type HeldError struct {
	Queue string
	By    Holder // zero if the key does not say
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("the dead letters of queue %s are being replayed by %v", e.Queue, e.By)
}

// Why a lock was lost: causes of [Lock.Context].
var (
	// ErrTaken says that somebody insisted on having the lock.
	ErrTaken = errors.New("the lock was taken over")
	// ErrExpired says that etcd has not heard of this process for too long.
	ErrExpired = errors.New("the lock has run out: etcd was not reached in time")
	// ErrReleased says that Release was called.
	ErrReleased = errors.New("the lock was released")
)

// A Lock is held from [Take] until its context ends.
type Lock struct {
	client *clientv3.Client
	key    string
	lease  clientv3.LeaseID

	ctx    context.Context
	lose   context.CancelCauseFunc
	keeper sync.WaitGroup
}

// Key is where the lock of a queue's replay lies. prefix is that of all keys of the installation, such as "/tasktier".
func Key(prefix, queue string) string { return prefix + "/locks/replay/" + queue }

// Take takes the lock of a queue's replay for me. If somebody has it, the error is a [*HeldError]; with force it is taken
// over from them. Any other error says that etcd did not answer in time, or ctx ended. The client stays the caller's, who
// must call Release. ctx is for taking the lock only: a lock that is held outlives it.
func Take(ctx context.Context, client *clientv3.Client, prefix, queue string, me Holder, force bool) (*Lock, error) {
	l := &Lock{client: client, key: Key(prefix, queue)}
	since, err := l.take(ctx, queue, me, force)
	if err != nil {
		return nil, err
	}
	l.ctx, l.lose = context.WithCancelCause(context.WithoutCancel(ctx))
	alive, err := client.KeepAlive(l.ctx, l.lease)
	if err != nil {
		l.lose(err)
		return nil, errors.Join(fmt.Errorf("keep the lock: %w", err), l.revoke(ctx))
	}
	l.keeper.Go(func() {
		for range alive { //nolint:revive // what counts is that it ends
		}
		l.lose(ErrExpired)
	})
	l.keeper.Go(func() { l.watch(since) })
	return l, nil
}

// take writes the key, and returns the revision at which it did.
func (l *Lock) take(ctx context.Context, queue string, me Holder, force bool) (since int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lease, err := l.client.Grant(ctx, ttl)
	if err != nil {
		return 0, fmt.Errorf("ask etcd for a lease: %w", err)
	}
	l.lease = lease.ID
	defer func() {
		if err != nil {
			// The key may have been written all the same, if only the reply was lost: it goes with its lease.
			_ = l.revoke(ctx)
		}
	}()
	me.Since = me.Since.UTC()
	text, err := json.Marshal(me)
	if err != nil {
		return 0, fmt.Errorf("encode the lock's holder: %w", err)
	}
	put := clientv3.OpPut(l.key, string(text), clientv3.WithLease(l.lease))
	txn := l.client.Txn(ctx)
	if force {
		txn = txn.Then(put)
	} else {
		txn = txn.If(clientv3.Compare(clientv3.CreateRevision(l.key), "=", 0)).Then(put).Else(clientv3.OpGet(l.key))
	}
	answer, err := txn.Commit()
	if err != nil {
		return 0, fmt.Errorf("ask etcd for the lock: %w", err)
	}
	if answer.Succeeded {
		return answer.Header.Revision, nil
	}
	held := &HeldError{Queue: queue}
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		_ = json.Unmarshal(kv.Value, &held.By) // what can't be read is somebody
	}
	return 0, held
}

// Context ends when the lock is lost or released; its cause says why. Work under the lock ends with it.
func (l *Lock) Context() context.Context { return l.ctx }

// Release gives the lock back, unless somebody else has it, and waits for all that kept it. Further calls do nothing. An
// error says that etcd did not answer: the lock runs out then.
func (l *Lock) Release(ctx context.Context) error {
	over := l.ctx.Err() != nil
	l.lose(ErrReleased)
	l.keeper.Wait()
	if over && errors.Is(context.Cause(l.ctx), ErrReleased) {
		return nil
	}
	return l.revoke(ctx)
}

// revoke ends the lease, and with it the key, if that is still ours: one that was taken over is under another lease.
func (l *Lock) revoke(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := l.client.Revoke(ctx, l.lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("release the lock: %w", err)
	}
	return nil
}

// watch ends the lock when its key is written by another or is gone. since is the revision of what was looked at last.
func (l *Lock) watch(since int64) {
	for l.ctx.Err() == nil {
		changes := l.client.Watch(clientv3.WithRequireLeader(l.ctx), l.key, clientv3.WithRev(since+1))
		for change := range changes {
			if len(change.Events) > 0 {
				l.lose(l.taken(change.Events[len(change.Events)-1].Kv.Value))
				return
			}
		}
		// The watch ends when etcd has compacted what it was to tell, or has no leader. Look, and watch on from there.
		since = l.look(since)
	}
}

// look asks whose the lock is, and returns as of which revision.
func (l *Lock) look(since int64) int64 {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	answer, err := l.client.Get(ctx, l.key)
	switch {
	case err != nil:
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
		}
		return since
	case len(answer.Kvs) == 0:
		l.lose(l.taken(nil))
	case clientv3.LeaseID(answer.Kvs[0].Lease) != l.lease:
		l.lose(l.taken(answer.Kvs[0].Value))
	}
	return answer.Header.Revision
}

// taken is the cause of the loss to whom the key speaks of.
func (l *Lock) taken(text []byte) error {
	var by Holder
	if json.Unmarshal(text, &by) != nil {
		return ErrTaken
	}
	return fmt.Errorf("%w by %v", ErrTaken, by)
}
