package pipeline

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/schedule"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// onBothWithSchedules runs a test with a fleet that has a schedule of every second, on the embedded stack and on real servers.
func onBothWithSchedules(t *testing.T, test func(t *testing.T, f *fleet, nodes []*process)) {
	onlyInFull(t)
	t.Parallel()
	for name, make := range map[string]func(t *testing.T) *fleet{"embedded": embeddedClaims, "servers": claimed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := make(t)
			f.ttl = shortTTL
			f.schedules = "  beat: {cron: \"* * * * * *\", type: work, data: {ms: 1}}\n"
			test(t, f, f.ready(2))
		})
	}
}

const beat = "beat@"

// ticks are those whose task has ended, in their order.
func (f *fleet) ticks() []time.Time {
	f.t.Helper()
	var ticks []time.Time
	for id, runs := range f.runs() {
		if text, is := strings.CutPrefix(id, beat); is && slices.ContainsFunc(runs, func(r *run) bool { return r.how == ended }) {
			tick, err := time.Parse(time.RFC3339, text)
			must(f.t, err)
			ticks = append(ticks, tick)
		}
	}
	slices.SortFunc(ticks, time.Time.Compare)
	return ticks
}

// ticked waits until ticks from a time on were run, without a gap.
func (f *fleet) ticked(from time.Time, n int) {
	f.t.Helper()
	f.until("the ticks are run", func() bool {
		late := slices.DeleteFunc(f.ticks(), func(t time.Time) bool { return t.Before(from) })
		return len(late) >= n && late[n-1].Sub(late[0]) == time.Duration(n-1)*time.Second
	})
}

// leader waits until one of the nodes leads, and says which.
func (f *fleet) leader(nodes []*process) int {
	f.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: f.etcd, Logger: zap.NewNop()})
	must(f.t, err)
	defer client.Close()
	leads := -1
	f.until("somebody leads", func() bool {
		l, ok, err := coord.ReadLeader(f.t.Context(), client, "/"+f.queue, schedule.Duty(f.queue))
		must(f.t, err)
		leads = slices.IndexFunc(nodes, func(p *process) bool { return ok && strings.HasSuffix(p.log, "/"+l.Node+".log") })
		return leads >= 0
	})
	return leads
}

// A stop is what was done to a leader.
type stop struct {
	node *process
	at   time.Time
}

// inFlight says whether a run was, or may have been on its way to its claim, at the stop.
func (s stop) inFlight(r *run) bool {
	return r.pid == s.node.pid() && r.at.Before(s.at) && s.at.Sub(r.at) < time.Second
}

// eachTickOnce fails the test unless every second from the first tick to the last one has had its one run. What a node had
// in flight when it was stopped may have run again elsewhere.
func (f *fleet) eachTickOnce(stops ...stop) {
	f.t.Helper()
	ticks := f.ticks()
	for i := 1; i < len(ticks); i++ {
		if gap := ticks[i].Sub(ticks[i-1]); gap != time.Second {
			f.t.Errorf("between the ticks of %s and %s there is none", ticks[i-1].Format(clock), ticks[i].Format(clock))
		}
	}
	again := 0
	for id, runs := range f.runs() {
		switch first := runs[0]; {
		case !strings.HasPrefix(id, beat) || len(runs) == 1:
		case len(runs) == 2 && slices.ContainsFunc(stops, func(s stop) bool { return s.inFlight(first) }):
			again++
		default:
			f.t.Errorf("%s ran more than once: %s", id, story(runs))
		}
	}
	f.t.Logf("%d ticks, %d of which were in flight on a stopped node and ran again", len(ticks), again)
	if again > len(stops) {
		f.t.Error("there is a tick a second: no more than one can have been in flight")
	}
}

// TestLeaderKilledAtTheTick: whatever the leader was about to do with a tick, its successor sends each once.
func TestLeaderKilledAtTheTick(t *testing.T) {
	onBothWithSchedules(t, func(t *testing.T, f *fleet, nodes []*process) {
		leads := f.leader(nodes)
		f.ticked(time.Now(), 2)
		tick := time.Now().Truncate(time.Second).Add(time.Second)
		timer := time.NewTimer(time.Until(tick) + 2*time.Millisecond)
		<-timer.C
		killed := nodes[leads].kill()
		f.ticked(killed.Add(-3*time.Second), 11)
		next := nodes[1-leads]
		if f.leader([]*process{next}) != 0 {
			t.Error("the other node does not lead")
		}
		next.stop()
		f.eachTickOnce(stop{nodes[leads], killed})
	})
}

// TestLeaderPausedOverTicks: a leader that stands still for a few ticks sends them late; one that stands still past its
// lease finds them sent by another, and what it had begun is dropped.
func TestLeaderPausedOverTicks(t *testing.T) {
	onBothWithSchedules(t, func(t *testing.T, f *fleet, nodes []*process) {
		leads := f.leader(nodes)
		f.ticked(time.Now(), 1)
		briefly := stop{nodes[leads], time.Now()}
		nodes[leads].signal(syscall.SIGSTOP)
		f.until("three ticks have passed", func() bool { return time.Since(briefly.at) > 3200*time.Millisecond })
		nodes[leads].signal(syscall.SIGCONT)
		f.ticked(briefly.at.Add(-time.Second), 6)
		leads = f.leader(nodes) // still the same, unless the machine was busy
		long := stop{nodes[leads], time.Now()}
		nodes[leads].signal(syscall.SIGSTOP)
		f.ticked(long.at.Add(-time.Second), 9)
		nodes[leads].signal(syscall.SIGCONT)
		f.ticked(time.Now(), 2)
		if f.leader(nodes) == leads {
			t.Error("a leader that was paused past its lease leads on")
		}
		nodes[0].stop()
		nodes[1].stop()
		f.eachTickOnce(briefly, long)
	})
}
