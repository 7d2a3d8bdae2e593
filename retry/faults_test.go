package retry

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// slowly lets writes take a while from now on.
func (s *stage) slowly(d time.Duration) { s.slow.Store(int64(d)) }

// A forwarder that stops while its writes are on their way waits for them: its successor forwards nothing twice.
func TestStopWaitsForWhatFlies(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Truncate(time.Minute).Add(90 * time.Second)
		s.wait(200, at(due))
		f := s.start(calm)
		f.ready(all)
		s.slowly(time.Second)
		time.Sleep(time.Until(due.Add(500 * time.Millisecond)))
		flying := int64(0)
		f.do(func() { flying = f.flying })
		if flying == 0 {
			t.Fatal("nothing flies when it is stopped")
		}
		f.stop()
		s.start(calm).ready(all)
		s.await(200)
		time.Sleep(15 * time.Minute)
		s.once(200, 0, at(due))
	})
}

// A commit that fails is made again, though nothing else happens, also if only its partition is refused.
func TestACommitThatFailsIsMadeAgain(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Truncate(time.Minute).Add(90 * time.Second)
		s.wait(50, at(due))
		f := s.start(calm)
		f.ready(all)
		time.Sleep(time.Until(due.Add(-time.Second)))
		p := tier.Minute.Partition(due)
		fault := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: names.RetryMinute(s.prefix), Partitions: []int32{p}, Err: kerr.UnknownServerError, Count: 3})
		s.await(50)
		time.Sleep(10 * time.Second)
		if fault.Hits() != 3 {
			t.Errorf("%d commits were refused", fault.Hits())
		}
		got := s.cluster.GroupInfo(names.RetryGroup(s.prefix)).Commits[names.RetryMinute(s.prefix)][p]
		if got.Offset != 50 {
			t.Errorf("committed %d, want 50", got.Offset)
		}
	})
}

// A record that its queue does not take, even without its errors, is a dead letter, and holds nothing back.
func TestOversizeBecomesALetter(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		due := time.Now().Add(30 * time.Second)
		s.wait(1, at(due))
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Pending(s.queue), Err: kerr.MessageTooLarge, Count: -1})
		f := s.start(calm)
		f.ready(all)
		time.Sleep(time.Minute)
		letters := s.all(names.Dead(s.queue))
		if len(letters) != 1 {
			t.Fatalf("%d letters", len(letters))
		}
		reason := ""
		for _, h := range letters[0].Headers {
			if h.Key == "ce_ttreason" {
				reason = string(h.Value)
			}
		}
		if reason != "oversize" {
			t.Errorf("its reason is %q", reason)
		}
		got := s.cluster.GroupInfo(names.RetryGroup(s.prefix)).Commits[names.RetryMinute(s.prefix)][tier.Minute.Partition(due)]
		if got.Offset != 1 {
			t.Errorf("committed %d, want 1", got.Offset)
		}
	})
}

// A record that lies in the minute tier and is due hours later is handed to the hour tier, also if it has the same number
// there.
func TestWrongTier(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Add(10 * time.Hour)
		p := tier.Hour.Partition(due) // which there is in the minute tier, too
		s.place(names.RetryMinute(s.prefix), p, s.stamped(0, due))
		f := s.start(calm)
		f.ready(all)
		time.Sleep(time.Until(tier.Minute.Next(p, time.Now()).Add(2 * time.Minute))) // its slot was opened
		if got := s.size(names.RetryHour(s.prefix)); got != 1 {
			t.Errorf("%d records are in the hour tier", got)
		}
		f.stop()
		time.Sleep(time.Until(due.Add(-15 * time.Minute))) // it is due on the hour, and the hour slot opens 5 minutes before
		s.start(calm).ready(all)
		if late := s.once(1, 0, at(due)); late > 10*time.Millisecond {
			t.Errorf("it came back %v late", late)
		}
	})
}

// A slot that can't be closed before its partition's next one opens, because brokers refuse what it holds, goes on as that:
// what was held for the next one comes back as soon as it may.
func TestASlotThatNeverClosed(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		soon := time.Now().Add(10 * time.Minute)
		p := tier.Minute.Partition(soon)
		due := func(i int) time.Time { return soon.Add(time.Duration(i%2) * 90 * time.Minute) }
		for i := range 20 {
			s.place(names.RetryMinute(s.prefix), p, s.stamped(i, due(i)))
		}
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.PolicyViolation, Count: -1})
		time.Sleep(time.Until(soon.Add(80 * time.Minute)))
		f := s.start(calm)
		f.ready(all)
		time.Sleep(time.Until(soon.Add(95 * time.Minute)))
		f.do(func() {
			if s := f.slots[place{false, p}]; s.opening == nil || s.start.Before(soon.Add(80*time.Minute)) {
				t.Errorf("the slot of %v is open: %v", s.start, s.opening != nil)
			}
		})
		refuse.Remove()
		mended := time.Now()
		s.once(20, 0, due)
		if took := time.Since(mended); took > 10*time.Minute {
			t.Errorf("the last came back %v after the brokers took records again", took)
		}
	})
}

// A slot that was closed while it held a record of the next lap is not read again at the next assignment.
func TestAHeldSlotIsNotReadAgain(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		soon := time.Now().Add(10 * time.Minute)
		p := tier.Minute.Partition(soon)
		s.place(names.RetryMinute(s.prefix), p, s.stamped(0, soon), s.stamped(1, soon.Add(90*time.Minute)))
		time.Sleep(time.Until(soon.Add(30 * time.Minute)))
		f := s.start(calm)
		f.ready(all)
		s.await(1)
		time.Sleep(time.Minute)
		f.stop()
		reads := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: names.RetryMinute(s.prefix), Partitions: []int32{p}, Observe: true, Count: -1})
		f = s.start(calm)
		f.ready(all)
		time.Sleep(time.Minute)
		if n := reads.Hits(); n > 0 {
			t.Errorf("it is read again: %d fetches", n)
		}
		f.stop()
		time.Sleep(time.Until(soon.Add(85 * time.Minute)))
		s.start(calm).ready(all)
		time.Sleep(time.Until(soon.Add(95 * time.Minute)))
		s.await(2)
	})
}

// A slot is not closed, and said to be forwarded, while what it held is on its way.
func TestASlotStaysOpenWhileItsRecordsFly(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Add(30 * time.Second)
		s.wait(3, at(due))
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.PolicyViolation, Count: -1})
		f := s.start(calm)
		f.ready(all)
		time.Sleep(20 * time.Minute)
		f.do(func() {
			slot := f.slots[place{false, tier.Minute.Partition(due)}]
			if slot.opening == nil || slot.progress.covers(0, due.UnixMilli()) || slot.committed > 0 {
				t.Errorf("open: %v, progress %v, committed %d", slot.opening != nil, slot.progress, slot.committed)
			}
		})
		refuse.Remove()
		s.await(3)
	})
}

// A slot that could not be read in its time is not closed before it was: its tasks come when it can be, not a lap later.
func TestASlotIsReadBeforeItIsClosed(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Add(30 * time.Second)
		s.wait(3, at(due))
		fault := s.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Fetch}, Topic: names.RetryMinute(s.prefix), Partitions: []int32{tier.Minute.Partition(due)}, Err: kerr.UnknownServerError, Count: -1,
		})
		s.start(calm).ready(all)
		time.Sleep(15 * time.Minute)
		fault.Remove()
		if late := s.once(3, 0, at(due)); late > 17*time.Minute {
			t.Errorf("they came back %v late", late)
		}
	})
}
