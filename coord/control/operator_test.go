package control_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// names are those that keys could trip over.
var names = []string{"tasks", "mail.send", "a/b", "a%2Fb", "/", "..", "ä ö/世界", "\xff", `"\`, strings.Repeat("n", 1000)}

func TestWhatIsSaidIsKnownUntilItIsTakenBack(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, ctx := operator(t, client, prefix), limit(t)
	for _, name := range names {
		type verb = func(context.Context, string) (bool, error)
		limitTo := func(n int) verb {
			return func(ctx context.Context, typ string) (bool, error) { return o.LimitType(ctx, typ, n) }
		}
		queue := func(s control.State) any { return s.Queues[name].Paused }
		node := func(s control.State) any { return s.Nodes[name].Drained }
		type held struct {
			paused bool
			limit  int // -1: the configuration's
		}
		typ := func(s control.State) any {
			h := held{s.Types[name].Paused, -1}
			if l := s.Types[name].Limit; l != nil {
				h.limit = *l
			}
			return h
		}
		for _, step := range []struct {
			what string
			verb verb
			of   func(control.State) any
			want any
		}{
			{"pause the queue", o.PauseQueue, queue, true},
			{"resume the queue", o.ResumeQueue, queue, false},
			{"drain the node", o.DrainNode, node, true},
			{"resume the node", o.ResumeNode, node, false},
			{"limit the type", limitTo(3), typ, held{false, 3}},
			{"pause it too", o.PauseType, typ, held{true, 3}},
			{"limit it otherwise", limitTo(0), typ, held{true, 0}},
			{"resume it", o.ResumeType, typ, held{false, 0}},
			{"give up the limit", o.DefaultLimit, typ, held{false, -1}},
		} {
			changed, err := step.verb(ctx, name)
			says(t, changed, err)(true)
			if got := step.of(read(t, client, prefix)); got != step.want {
				t.Errorf("%.20q: %s: it is %v, want %v", name, step.what, got, step.want)
			}
			changed, err = step.verb(ctx, name) // again: that is nothing new
			says(t, changed, err)(false)
		}
	}
	reply, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	must(t, err)
	if len(reply.Kvs) > 0 {
		t.Errorf("nothing is said any more, and there is still %s", reply.Kvs)
	}
}

func TestNamesAreTold(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, begun := operator(t, client, prefix), time.Now().Add(-time.Second)
	for _, name := range names {
		changed, err := o.PauseQueue(limit(t), name)
		says(t, changed, err)(true)
	}
	s := read(t, client, prefix+"/")
	if len(s.Queues) != len(names) || len(s.Ignored) > 0 {
		t.Errorf("%d queues are paused of %d; ignored is %v", len(s.Queues), len(names), s.Ignored)
	}
	for _, name := range names {
		if q := s.Queues[name]; !q.Paused || q.By != "ann" || q.At.Before(begun.Truncate(time.Second)) || q.At.After(time.Now()) {
			t.Errorf("%q: %+v", name, q)
		}
	}
	if _, err := o.PauseQueue(limit(t), ""); err == nil {
		t.Error("a queue without a name can be paused")
	}
	for _, n := range []int{-1, control.MaxLimit + 1} {
		if _, err := o.LimitType(limit(t), "x", n); err == nil {
			t.Errorf("a type can run %d tasks at once", n)
		}
	}
}

// What two operators say at once of one type is not lost, whoever reads first and writes last.
func TestOperatorsAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, ctx := operator(t, client, prefix), limit(t)
	for range 20 {
		var all sync.WaitGroup
		var changed [10]bool
		var errs [10]error
		for i := range changed {
			all.Go(func() {
				if i%2 == 0 {
					changed[i], errs[i] = o.PauseType(ctx, "mail")
				} else {
					changed[i], errs[i] = o.LimitType(ctx, "mail", 7)
				}
			})
		}
		all.Wait()
		must(t, errors.Join(errs[:]...))
		n := 0
		for _, c := range changed {
			if c {
				n++
			}
		}
		typ := read(t, client, prefix).Types["mail"]
		if !typ.Paused || typ.Limit == nil || *typ.Limit != 7 || n != 2 {
			t.Fatalf("it is %+v, and %d think that they were first to say a thing", typ, n)
		}
		_, err := o.ResumeType(ctx, "mail")
		must(t, err)
		_, err = o.DefaultLimit(ctx, "mail")
		must(t, err)
	}
}

func TestLaterVersionsAreNotOverwritten(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, ctx := operator(t, client, prefix), limit(t)
	later := `{"v":2,"paused":{"until":"noon"}}`
	_, err := client.Put(ctx, prefix+"/control/types/mail", later)
	must(t, err)
	for what, verb := range map[string]func(context.Context, string) (bool, error){"pause": o.PauseType, "resume": o.ResumeType} {
		if changed, err := verb(ctx, "mail"); changed || !errors.Is(err, control.ErrNewer) {
			t.Errorf("%s: %v, %v", what, changed, err)
		}
	}
	reply, err := client.Get(ctx, prefix+"/control/types/mail")
	must(t, err)
	if got := string(reply.Kvs[0].Value); got != later {
		t.Errorf("it is %s now", got)
	}
}

// A value that can't be read is obeyed by nobody: whoever says something sets it right.
func TestUnreadableValuesAreSetRight(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, ctx := operator(t, client, prefix), limit(t)
	for _, text := range []string{"", "paused", "[]", `{"paused":true}`, `{"v":1,"limit":-1}`, `{"v":1,"limit":1000001}`, `{"v":1,"limit":1.5}`, `{"v":1,"paused":1}`} {
		k := prefix + "/control/types/mail"
		_, err := client.Put(ctx, k, text)
		must(t, err)
		if s := read(t, client, prefix); len(s.Types) > 0 || s.Ignored[k] == nil {
			t.Errorf("%s: types are %v, ignored is %v", text, s.Types, s.Ignored)
		}
		changed, err := o.PauseType(ctx, "mail")
		says(t, changed, err)(true)
		if s := read(t, client, prefix); !s.Types["mail"].Paused || len(s.Ignored) > 0 {
			t.Errorf("%s: types are %v, ignored is %v", text, s.Types, s.Ignored)
		}
		_, err = client.Put(ctx, k, text)
		must(t, err)
		changed, err = o.ResumeType(ctx, "mail")
		says(t, changed, err)(true)
		if s := read(t, client, prefix); len(s.Types) > 0 || len(s.Ignored) > 0 {
			t.Errorf("%s: types are %v, ignored is %v", text, s.Types, s.Ignored)
		}
	}
}

func TestForeignKeysAreIgnored(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	ctx := limit(t)
	// The last one is a second key for the name of the second one.
	for _, k := range []string{"/exec/rm", "/queues", "/queues/", "/queues/%zz", "/queues/a/b", "/queues/%61"} {
		_, err := client.Put(ctx, prefix+"/control"+k, `{"v":1,"paused":true}`)
		must(t, err)
	}
	_, err := client.Put(ctx, prefix+"/control/queues/a", `{"v":1,"paused":true,"more":"of later days"}`)
	must(t, err)
	s := read(t, client, prefix)
	if len(s.Queues) != 1 || !s.Queues["a"].Paused || len(s.Ignored) != 6 {
		t.Errorf("queues are %v, ignored is %v", s.Queues, s.Ignored)
	}
}

// What is decided by what is said of a type can be written on condition that it is still said.
func TestLastsUntilSomethingElseIsSaid(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, ctx := operator(t, client, prefix), limit(t)
	writes := func(s control.State, typ string) bool {
		reply, err := client.Txn(ctx).If(s.Lasts(typ)).Then(clientv3.OpPut(prefix+"/x", "")).Commit()
		must(t, err)
		return reply.Succeeded
	}
	change := func(verb func(context.Context, string) (bool, error)) {
		changed, err := verb(ctx, "a/b")
		says(t, changed, err)(true)
	}
	silent := read(t, client, prefix)
	change(o.PauseType)
	paused := read(t, client, prefix)
	if writes(silent, "a/b") || !writes(silent, "other") || !writes(paused, "a/b") {
		t.Error("once it is paused: who knew of nothing can write, or who knows can't")
	}
	change(o.ResumeType)
	change(o.PauseType)
	if writes(paused, "a/b") || writes(silent, "a/b") {
		t.Error("once it is paused anew: who knew the first pause can write")
	}
	_, err := client.Put(ctx, prefix+"/control/types/a%2Fb", "what nobody can read")
	must(t, err)
	unread := read(t, client, prefix)
	if writes(paused, "a/b") || !writes(unread, "a/b") {
		t.Error("what can't be read counts as nothing that was written")
	}
}
