package claim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// seedVariable repeats a run of TestRandomly: the choices are then the same, though not the moments.
const seedVariable = "TASKTIER_CLAIM_SEED"

// TestRandomly lets three processes work on records of few tasks, which are delivered twice and thrice, while calls are
// slow, replies are lost, sessions end, processes die, operators cancel and replay. world watches every write and every run.
func TestRandomly(t *testing.T) {
	t.Parallel()
	seeds := []uint64{rand.Uint64(), rand.Uint64()}
	if testing.Short() {
		seeds = seeds[:1]
	}
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			w.live()
			if t.Failed() {
				t.Logf("again: %s=%d", seedVariable, seed)
			}
		})
	}
}

const (
	allTasks   = 60
	someTasks  = 6 // at a time, about
	processes  = 3
	mostAtOnce = 16
)

type record struct {
	id          string
	g, t, tries int
}

// A process is a node that may die.
type process struct {
	*node
	name     string
	sessions int
	dead     atomic.Bool
}

// world is Kafka, the operators, and who sees everything.
type world struct {
	t        *testing.T
	server   *miniredis.Miniredis
	registry registry
	store    *Store // the operators'

	mu      sync.Mutex
	dice    *rand.Rand
	records []record            // to be delivered
	made    int                 // tasks so far
	copies  int                 // how many deliveries are still to be repeated
	flying  int                 // deliveries under way
	landed  int                 // deliveries that were
	claims  map[string]Claim    // as they were after the last call
	owners  map[string]*process // of sessions
	runs    map[*Hold]*process  // whose handlers run
	over    map[string]int      // the last generation that succeeded, + 1
	letters map[string]map[int]bool
	wishes  map[string]bool // canceled before they ran
	fences  map[string]int64
	stats   struct{ runs, stolen, lost, replays, canceled, crashes, letters int }

	members [processes]*process
	books   []*Book       // of all that ever were
	moved   chan struct{} // has a token when something has
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, server: miniredis.RunT(t), dice: rand.New(rand.NewPCG(seed, 1)), moved: make(chan struct{}, 1),
		claims: map[string]Claim{}, owners: map[string]*process{}, runs: map[*Hold]*process{}, over: map[string]int{},
		letters: map[string]map[int]bool{}, wishes: map[string]bool{}, fences: map[string]int64{},
	}
	w.copies = 5 * allTasks
	w.store = NewStore(single(t, w.server.Addr()), "w")
	for i := range allTasks {
		w.letters[fmt.Sprint("task", i)] = map[int]bool{}
	}
	for i := range w.members {
		w.members[i] = w.spawn(fmt.Sprint("p", i, "-"))
	}
	return w
}

// spawn starts a process.
func (w *world) spawn(name string) *process {
	p := &process{name: name}
	client := redis.NewClient(&redis.Options{Addr: w.server.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true})
	w.t.Cleanup(func() { _ = client.Close() })
	client.AddHook(chaos{w, p})
	session := name + "1"
	w.mu.Lock()
	w.owners[session] = p
	w.mu.Unlock()
	p.node = start(w.t, NewStore(client, "w"), &w.registry, session)
	p.sessions = 1
	w.mu.Lock()
	w.books = append(w.books, p.Book)
	w.mu.Unlock()
	return p
}

// chaos is a hook between a process and Redis: it delays, refuses, loses replies, and compares before with after.
type chaos struct {
	w *world
	p *process
}

var errChaos = errors.New("chaos")

func (c chaos) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c chaos) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (c chaos) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "evalsha" && name != "eval" {
			return next(ctx, cmd)
		}
		pause(c.w.upTo(3))
		if c.p.dead.Load() || c.w.chance(20) {
			return errChaos
		}
		c.w.mu.Lock()
		err := next(ctx, cmd)
		c.w.compare(c.p)
		c.w.mu.Unlock()
		pause(c.w.upTo(3))
		if c.p.dead.Load() || err == nil && c.w.chance(10) {
			return errChaos
		}
		return err
	}
}

// pause is chaos, not synchronization.
func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

func (w *world) chance(oneIn int) bool { return w.roll(oneIn) == 0 }

func (w *world) roll(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice.IntN(n)
}

func (w *world) upTo(ms int) time.Duration { return time.Duration(w.roll(ms*1000)) * time.Microsecond }

// compare looks at what a call of p changed. w.mu is held.
func (w *world) compare(p *process) {
	for id := range w.letters {
		text, err := w.server.Get(hold(id, 0, 1, 1).identity().Key().text("w"))
		if err != nil {
			continue
		}
		now, err := Parse(text)
		if err != nil {
			w.t.Errorf("claim %q: %v", text, err)
			continue
		}
		was := w.claims[id]
		w.claims[id] = now
		if was == now {
			continue
		}
		bad := func(what string) { w.t.Errorf("%s: %s: %q became %q by %s", id, what, was, now, p.name) }
		if now.Fence < was.Fence {
			bad("the fence shrinks")
		}
		if now.State != Canceled && now.before(was.Generation, was.Turn) {
			bad("it goes back")
		}
		if was.State.Terminal() && now.Generation == was.Generation {
			bad("an end is overwritten")
		}
		if now.State == Dead && !w.letters[id][now.Generation] {
			bad("dead without its letter")
		}
		if was.State != Running && was.State != Dying {
			continue
		}
		// Only its owner may say how a run goes on, or who takes it from one that is gone.
		if owner := w.owners[was.Owner]; owner != p {
			if alive, _ := w.registry.alive(was.Owner); alive {
				bad("taken from the living")
			}
		} else if now.Owner == was.Owner && now.Fence != was.Fence && now.State == Running {
			for h := range w.runs {
				if h.Task.ID == id && h.Fence() == was.Fence {
					bad("begun anew under its own handler")
				}
			}
		}
	}
}

func (w *world) wake() {
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// live goes on until nothing is left to deliver, then looks at the ends.
func (w *world) live() {
	var chaos sync.WaitGroup
	ended := make(chan struct{})
	for _, trouble := range []struct {
		every int // ms, about
		after int // so many deliveries at least: a slow machine is to come to an end, too
		do    func()
		ever  bool
	}{{15, 3, w.endSession, false}, {30, 6, w.crash, false}, {30, 6, w.cancel, false}, {20, 4, w.replay, false}, {2, 0, w.refresh, true}} {
		chaos.Go(func() {
			for last := 0; trouble.ever || w.more(); { // at last there is quiet
				select {
				case <-ended:
					return
				case <-time.After(w.upTo(2 * trouble.every)):
					if now := w.deliveries(); now-last >= trouble.after {
						last = now
						trouble.do()
					}
				}
			}
		})
	}
	deadline := time.After(4 * patience)
	for quiet := false; !quiet; {
		r, ok := w.next()
		if ok {
			go w.deliver(r)
			continue
		}
		select {
		case <-w.moved:
		case <-deadline:
			w.mu.Lock()
			w.t.Errorf("it does not come to an end: %+v, %d under way, %d records left, claims %v, gone %v", w.stats, w.flying, len(w.records), w.claims, w.registry.gone)
			w.mu.Unlock()
			w.t.FailNow()
		case <-time.After(500 * time.Millisecond):
			w.mu.Lock()
			quiet = w.flying == 0 && len(w.records) == 0 && w.made == allTasks
			w.mu.Unlock()
		}
	}
	close(ended)
	chaos.Wait()
	for _, p := range w.members {
		p.stop()
	}
	for id, letters := range w.letters {
		if c := w.claims[id]; !c.State.Terminal() {
			w.t.Errorf("%s: nothing is left to deliver, and it is %q", id, c)
		} else if c.State == Dead && !letters[c.Generation] {
			w.t.Errorf("%s: dead without a letter", id)
		}
	}
	for _, b := range w.books {
		w.stats.stolen += int(b.Stats().Stolen)
	}
	if w.stats.runs < allTasks/2 || w.stats.stolen == 0 || w.stats.lost == 0 {
		w.t.Errorf("too little happened: %+v", w.stats)
	}
	w.t.Logf("%+v", w.stats)
}

// more says whether there are tasks that have not been sent yet.
func (w *world) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made < allTasks
}

func (w *world) deliveries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.landed
}

// next takes a record to deliver. It may be left there, to be delivered again.
func (w *world) next() (record, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made < allTasks && len(w.records)+w.flying < someTasks {
		w.records = append(w.records, record{fmt.Sprint("task", w.made), 0, 1, 1})
		w.made++
	}
	if len(w.records) == 0 || w.flying >= mostAtOnce {
		return record{}, false
	}
	i := w.dice.IntN(len(w.records))
	r := w.records[i]
	if w.copies > 0 && w.dice.IntN(3) == 0 {
		w.copies--
	} else {
		w.records[i] = w.records[len(w.records)-1]
		w.records = w.records[:len(w.records)-1]
	}
	w.flying++
	return r, true
}

func (w *world) send(r record) {
	w.mu.Lock()
	w.records = append(w.records, r)
	w.mu.Unlock()
	w.wake()
}

// deliver brings a record to a process, and again if it could not be concluded there.
func (w *world) deliver(r record) {
	p := w.any()
	concluded := w.handle(p, r)
	if !concluded {
		pause(w.upTo(5))
	}
	w.mu.Lock()
	w.flying--
	w.landed++
	if !concluded {
		w.records = append(w.records, r)
	}
	w.mu.Unlock()
	w.wake()
}

func (w *world) any() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.members[w.dice.IntN(processes)]
}

// handle is a consumer's way with a record. It says whether its offset may be completed.
func (w *world) handle(p *process, r record) bool {
	h := hold(r.id, r.g, r.t, r.tries)
	p.Begin(h)
	var v Verdict
	select {
	case v = <-h.Of.(chan Verdict):
	case <-time.After(patience):
		w.t.Errorf("%+v: no verdict", r)
		return true
	}
	switch v {
	case Done, Stale:
		return true
	case Held, Again:
		return false
	case Bury:
		return w.bury(p, h)
	case Run:
	}
	if p.LastRun(h) && w.ask(func(done func(Result)) { p.Alone(h, done) }) != Written {
		return false
	}
	if h.Over() || h.Canceled() || w.chance(10) {
		return w.ask(func(done func(Result)) { p.Release(h, done) }) == Written && w.again(r)
	}
	if !w.run(p, h) {
		return false
	}
	o := Outcome{State: []State{Succeeded, Retrying, Retrying, Retrying, Pending, Dying}[w.roll(6)], Due: time.Now()}
	switch o.State {
	case Retrying:
		w.send(record{r.id, r.g, r.t + 1, h.Attempt() + 1})
	case Pending:
		w.send(record{r.id, r.g, r.t + 1, h.Attempt()})
	default:
	}
	if p.dead.Load() {
		return false
	}
	pause(w.upTo(2))
	if w.ask(func(done func(Result)) { p.Finish(h, o, done) }) != Written {
		return false
	}
	switch o.State {
	case Dying:
		return w.bury(p, h)
	case Succeeded:
		w.mu.Lock()
		w.over[r.id] = max(w.over[r.id], r.g+1)
		w.mu.Unlock()
	default:
	}
	return true
}

func (w *world) again(r record) bool {
	w.send(r)
	return true
}

func (w *world) ask(what func(done func(Result))) Result {
	answer := make(chan Result, 1)
	what(func(r Result) { answer <- r })
	select {
	case r := <-answer:
		if r == Lost {
			w.mu.Lock()
			w.stats.lost++
			w.mu.Unlock()
		}
		return r
	case <-time.After(patience):
		w.t.Error("no answer")
		return Lost
	}
}

// run is the handler. It says whether the process lived to its end.
func (w *world) run(p *process, h *Hold) bool {
	id := h.Task.ID
	w.mu.Lock()
	if p.dead.Load() {
		w.mu.Unlock()
		return false
	}
	if h.Lease().Trusted() {
		bad := func(what string) {
			w.t.Errorf("%s: turn %d.%d under fence %d: %s", id, h.Task.Generation, h.Task.Turn, h.Fence(), what)
		}
		for other, of := range w.runs {
			if other.Task.ID == id && other.Lease().Trusted() && !of.dead.Load() {
				bad(fmt.Sprintf("it runs already, turn %d.%d in %s", other.Task.Generation, other.Task.Turn, other.Lease().ID()))
			}
		}
		if w.over[id] > h.Task.Generation {
			bad("it had succeeded")
		}
		if w.wishes[id] {
			bad("it was canceled before it ran")
		}
		if h.Fence() <= w.fences[id] {
			bad(fmt.Sprintf("a run before had fence %d", w.fences[id]))
		}
		w.fences[id] = h.Fence()
	}
	w.runs[h] = p
	w.stats.runs++
	w.mu.Unlock()
	pause(w.upTo(8))
	w.mu.Lock()
	delete(w.runs, h)
	w.mu.Unlock()
	return !p.dead.Load()
}

// bury writes the letter, then says so.
func (w *world) bury(p *process, h *Hold) bool {
	pause(w.upTo(2))
	w.mu.Lock()
	if p.dead.Load() {
		w.mu.Unlock()
		return false
	}
	w.letters[h.Task.ID][h.Task.Generation] = true
	w.stats.letters++
	w.mu.Unlock()
	return w.ask(func(done func(Result)) { p.Finish(h, Outcome{State: Dead}, done) }) == Written
}

// endSession lets a process lose its lease. Its handlers go on for a while.
func (w *world) endSession() {
	p := w.any()
	old := p.Lease()
	if p.dead.Load() || old == nil {
		return
	}
	p.lost()
	p.sessions++
	session := p.name + strconv.Itoa(p.sessions)
	w.mu.Lock()
	w.owners[session] = p
	w.mu.Unlock()
	pause(w.upTo(10))
	p.trusted(session)
}

// crash ends a process, and starts another in its place.
func (w *world) crash() {
	w.mu.Lock()
	i := w.dice.IntN(processes)
	p := w.members[i]
	p.dead.Store(true)
	w.stats.crashes++
	n := w.stats.crashes
	w.mu.Unlock()
	p.giveUp()
	p.stop()
	pause(w.upTo(10))
	if l := p.Lease(); l != nil {
		w.registry.leave(l.ID())
	}
	fresh := w.spawn(fmt.Sprint("p", i, ".", n, "-"))
	w.mu.Lock()
	w.members[i] = fresh
	w.mu.Unlock()
}

func (w *world) cancel() {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := fmt.Sprint("task", max(0, w.made-1-w.dice.IntN(2*someTasks)))
	c, err := w.store.Cancel(context.Background(), hold(id, 0, 1, 1).identity(), Window{})
	if err != nil {
		w.t.Error(err)
		return
	}
	if claim, _ := w.server.Get(hold(id, 0, 1, 1).identity().Key().text("w")); c.After == "canceled" && c.Before != "canceled" {
		now, err := Parse(claim)
		must(w.t, err)
		w.wishes[id] = now.Generation == AllGenerations
		w.stats.canceled++
	}
	w.compareAfter(id)
}

// compareAfter takes what an operator did as it is. w.mu is held.
func (w *world) compareAfter(id string) {
	text, err := w.server.Get(hold(id, 0, 1, 1).identity().Key().text("w"))
	if err == nil {
		w.claims[id], _ = Parse(text)
	}
}

func (w *world) refresh() { w.any().refreshOlder(farOff) }

// replay sends a dead letter again, as its claim allows.
func (w *world) replay() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, letters := range w.letters {
		if c := w.claims[id]; c.State == Dead && letters[c.Generation] && c.Generation < 3 && !w.wishes[id] {
			w.records = append(w.records, record{id, c.Generation + 1, 1, 1})
			w.stats.replays++
			return
		}
	}
}
