package retry

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kgo"
)

// still is a forwarder that does not run: what its loop owns is the test's.
func still(t *testing.T) *Forwarder {
	t.Helper()
	f, err := New(Config{Kafka: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Fallback: "q"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.stopWriting()
		f.out.Close()
		f.writer.Close()
		f.letters.Close()
		close(f.ended)
		f.abandon()
		f.background.Wait()
	})
	return f
}

// opened is an open slot of a still forwarder, in which items wait that are due so far ahead.
func (f *Forwarder) openedWith(t *testing.T, hour bool, ahead ...time.Duration) *slot {
	t.Helper()
	tr := tier.Minute
	if hour {
		tr = tier.Hour
	}
	now := time.Now()
	s := &slot{tier: tr, hour: hour, topic: f.topic(hour), partition: tr.Partition(now), progress: nothing}
	s.start = tr.Latest(s.partition, now)
	s.opening = newOpening(s)
	st := &stage{queue: "q"}
	for i, d := range ahead {
		r := st.stamped(i, now.Add(d))
		p, _ := s.opening.tracker.Add(int64(i), struct{}{})
		s.opening.upTo = int64(i) + 1
		it := &item{due: now.Add(d).UnixMilli(), offset: int64(i), place: p, record: r, bytes: 1000}
		s.opening.wait.push(it)
		f.bytes += it.bytes
	}
	f.opened = append(f.opened, s)
	f.slots[place{hour, s.partition}] = s
	return s
}

// From an hour slot a record leaves for the minute tier as soon as that takes it, though nothing of it is due. It is only
// there by a clock that went back.
func TestWhenItLeavesTheHourTier(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, true, 79*time.Minute, 81*time.Minute)
	next := f.forward()
	if left := s.opening.wait.len(); left != 1 {
		t.Errorf("%d wait, want the one that the minute tier does not take yet", left)
	}
	if next < 59*time.Second || next > time.Minute {
		t.Errorf("it looks again after %v", next)
	}
}

// Nothing is forwarded of a partition that is being given back: it would be waited for, and more with it.
func TestNothingLeavesASlotThatIsGivenBack(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, false, -time.Second, -time.Second)
	s.leaving = true
	if f.forward(); s.opening.wait.len() != 2 {
		t.Error("it is forwarded")
	}
	s.leaving = false
	if f.forward(); s.opening.wait.len() != 0 {
		t.Error("it is not forwarded")
	}
}

// What is acknowledged after its partition was taken away is nobody's any more, and is counted once.
func TestLateAcknowledgement(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, false, time.Hour)
	o := s.opening
	it := o.wait.pop()
	f.bytes -= it.bytes
	f.fly(o, it)
	if f.flying != 1000 {
		t.Fatalf("%d bytes fly", f.flying)
	}
	f.forget([]*slot{s})
	f.acknowledge(ack{opening: o, item: it})
	f.settle()
	if f.flying != 0 || f.bytes != 0 {
		t.Errorf("%d bytes fly, and %d wait", f.flying, f.bytes)
	}
	if s.dirty || o.tracker.Offset() != 0 {
		t.Error("it has moved a commit that is not this node's")
	}
}

// The heap that has most gives up half of it; the others keep what they have.
func TestTheFullestHeapShrinks(t *testing.T) {
	f := still(t)
	small := f.openedWith(t, false, time.Minute, time.Minute)
	large := f.openedWith(t, true, make([]time.Duration, 100)...)
	f.cfg.MaxBytes = 80_000
	f.shrink()
	if small.opening.wait.len() != 2 || large.opening.wait.len() != 50 || f.bytes != 52_000 {
		t.Errorf("%d and %d are left, of %d bytes", small.opening.wait.len(), large.opening.wait.len(), f.bytes)
	}
	if small.opening.floor != everything || large.opening.floor.at != 50 {
		t.Errorf("floors at %v and %v", small.opening.floor, large.opening.floor)
	}
}

// What waits has memory of its own: a batch of records would stay as long as one of them waits for its time.
func TestWhatWaitsIsDetached(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, false)
	st := &stage{queue: "q"}
	r := st.stamped(0, s.start.Add(s.tier.Slot-time.Millisecond))
	r.Partition = s.partition
	p, _ := s.opening.tracker.Add(0, struct{}{})
	f.place(s.opening, r, p, time.Now())
	top := s.opening.wait.top()
	if top == nil {
		t.Fatal("it does not wait") // a minute that ended just now
	}
	if top.record == r || &top.record.Value[0] == &r.Value[0] || &top.record.Headers[0].Value[0] == &r.Headers[0].Value[0] {
		t.Error("it shares memory with what was fetched")
	}
	if f.bytes != top.bytes || top.bytes < int64(len(r.Value)) {
		t.Errorf("it is counted as %d bytes", f.bytes)
	}
}

// No more flies than the limit allows, and a record.
func TestFullByWhatFlies(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, false, make([]time.Duration, 50)...)
	time.Sleep(2 * time.Millisecond) // they are due now
	f.cfg.MaxBytes = 10_000
	f.forward()
	if f.flying != 10_000 || s.opening.wait.len() != 40 {
		t.Errorf("%d bytes fly, %d wait", f.flying, s.opening.wait.len())
	}
}

// What was read by an opening that is over counts for nothing: the one that followed reads it again.
func TestStaleReads(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, false)
	old := s.opening
	f.closeOpening(s)
	f.open(s)
	st := &stage{queue: "q"}
	f.admit(read{old, 0, []*kgo.Record{st.stamped(0, s.start.Add(s.tier.Slot-time.Millisecond))}})
	if f.bytes != 0 || old.wait.len() != 0 || old.tracker.Next() > 0 {
		t.Errorf("%d bytes wait in an opening that is over", f.bytes)
	}
}

// A log that goes back was truncated or made anew: what is known of it is void, and it is read from its beginning.
func TestATierThatGoesBack(t *testing.T) {
	f := still(t)
	s := f.openedWith(t, false)
	s.committed, s.progress, s.opening.upTo = 500, mark{offset: 600, due: 700}, 500
	st := &stage{queue: "q"}
	r := st.stamped(0, time.Now().Add(time.Hour))
	r.Offset = 3
	f.admit(read{s.opening, 0, []*kgo.Record{r}})
	if s.opening != nil || s.committed != 0 || s.progress != nothing {
		t.Errorf("open: %v, committed %d, progress %v", s.opening != nil, s.committed, s.progress)
	}
}

// After an outage a bounded number of overdue slots is read at once, beside those whose time is now.
func TestOverdueSlotsWaitForEachOther(t *testing.T) {
	f := still(t)
	now := time.Now()
	inTime := 0
	for i := range tier.Minute.Partitions {
		s := &slot{tier: tier.Minute, topic: f.topic(false), partition: i, progress: nothing}
		s.start = s.tier.Latest(i, now)
		if now.Before(s.closes()) {
			inTime++
		}
		f.slots[place{false, i}] = s
	}
	f.review(now)
	if got := len(f.opened); got < inTime || got > maxReaders+inTime {
		t.Errorf("%d slots are read at once, %d of them in their time", got, inTime)
	}
}
