package limit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/coord/limit"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// childVariable makes this binary, started again by TestLocksUnderFaults, a node: the JSON of orders.
const childVariable = "LIMIT_TEST_CHILD"

// orders are what a node is told.
type orders struct {
	Endpoints []string
	Prefix    string
	Name      string
	File      string // to append to what happens
	TTL, Fair time.Duration
	Limits    map[string]int
}

// child runs tasks of limited types one after the other, as many at once as it can get slots for, until its input ends.
func child(told string) {
	var o orders
	check(json.Unmarshal([]byte(told), &o))
	file, err := os.OpenFile(o.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	check(err)
	client, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, Logger: zap.NewNop(), DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second,
		DialOptions: []grpc.DialOption{coord.Reconnect()},
	})
	check(err)
	members, err := coord.New(coord.Config{Client: client, Prefix: o.Prefix, TTL: o.TTL, Entry: coord.Entry{Name: o.Name}})
	check(err)
	limiter, err := limit.New(limit.Config{Client: client, Prefix: o.Prefix, Members: members, Node: o.Name, Fair: o.Fair, Linger: o.Fair / 2})
	check(err)
	ctx, stop := context.WithCancel(client.Ctx())
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		}
		stop()
	}()
	present, leave := context.WithCancel(client.Ctx())
	var session sync.WaitGroup
	session.Go(func() { check(members.Run(present)) })
	defer session.Wait()
	defer leave()

	limits := make(map[string]limit.Limit)
	tell := make(map[string]chan struct{})
	for typ, n := range o.Limits {
		limits[typ], tell[typ] = limit.Limit{N: n}, make(chan struct{}, 1)
	}
	limiter.Notify(func(typ string) {
		select {
		case tell[typ] <- struct{}{}:
		default:
		}
	})
	limiter.Set(limits)
	var all sync.WaitGroup
	all.Go(func() { check(limiter.Run(ctx)) })
	for typ := range o.Limits {
		w := &work{typ: typ, limiter: limiter, members: members, told: tell[typ], file: file}
		all.Go(func() { w.run(ctx) })
	}
	all.Wait()
}

// work is what a node does of one type.
type work struct {
	typ     string
	limiter *limit.Limiter
	members *coord.Membership
	told    chan struct{}
	file    *os.File

	mu      sync.Mutex
	running int
	tasks   int
	session string    // in which it waits
	since   time.Time // it waits with no task at work; zero while it doesn't
}

func (w *work) run(ctx context.Context) {
	const atOnce = 2
	var tasks sync.WaitGroup
	defer tasks.Wait()
	room := make(chan struct{}, atOnce)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	w.limiter.Want(w.typ, atOnce)
	for ctx.Err() == nil {
		room <- struct{}{}
		slot, ok := w.limiter.Take(w.typ)
		if ok {
			tasks.Go(func() {
				w.task(slot)
				w.limiter.Release(slot)
				<-room
				select {
				case w.told <- struct{}{}:
				default:
				}
			})
			continue
		}
		<-room
		w.waits()
		select {
		case <-w.told:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	w.limiter.Want(w.typ, 0)
}

// task is at work as long as its slot is good, and says so all the time. A time is read before the look at the trust: what is
// trusted after was trusted then.
func (w *work) task(slot *lease.Slot) {
	at := time.Now()
	if !slot.Lease.Trusted() {
		return
	}
	w.mu.Lock()
	w.running++
	w.tasks++
	e := event{Process: os.Getpid(), Task: w.tasks, Type: w.typ, Slot: slot.Number, Token: slot.Token, Session: slot.Lease.ID(), What: "begin", At: at.UnixNano()}
	if !w.since.IsZero() && w.session == e.Session {
		e.Since = w.since.UnixNano()
	}
	w.since = time.Time{}
	w.mu.Unlock()
	w.write(e)
	e.What, e.Since = "beat", 0
	for range rand.N(8) {
		time.Sleep(rand.N(8 * time.Millisecond)) // the work
		at := time.Now()
		if !slot.Lease.Trusted() {
			break
		}
		e.At = at.UnixNano()
		w.write(e)
	}
	w.mu.Lock()
	w.running--
	w.mu.Unlock()
}

// waits notes that there is no slot.
func (w *work) waits() {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, now := w.members.Lease(), time.Now()
	if w.running > 0 || l == nil || !l.Trusted() {
		w.since = time.Time{}
		return
	}
	if w.since.IsZero() || w.session != l.ID() {
		w.since, w.session = now, l.ID()
	}
	w.write(event{Process: os.Getpid(), Type: w.typ, Session: w.session, What: "wait", At: now.UnixNano(), Since: w.since.UnixNano()})
}

func (w *work) write(e event) {
	line, err := json.Marshal(e)
	check(err)
	_, err = w.file.Write(append(line, '\n'))
	check(err)
}

func check(err error) {
	if err != nil {
		panic(fmt.Sprint("node of a test: ", err))
	}
}
