package retry

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// These tests run the real code through hours and days, in a bubble.

// calm makes a forwarder that costs little while nothing happens.
func calm(c *Config) { c.SessionTimeout = 5 * time.Minute }

func (s *stage) writes() int64 {
	return s.size(names.Pending(s.queue)) + s.size(names.RetryMinute(s.prefix)) + s.size(names.RetryHour(s.prefix))
}

// at returns the same due for every task.
func at(due time.Time) func(int) time.Time { return func(int) time.Time { return due } }

// TestWritesPerDelay: what a delay costs in writes to Kafka.
func TestWritesPerDelay(t *testing.T) {
	lead := 90 * time.Minute // before the minute tier takes it
	if testing.Short() {
		lead = 15 * time.Minute // before the hour slot opens: the due is on the hour
	}
	for _, tt := range []struct {
		delay  time.Duration
		writes int64
	}{{-time.Second, 1}, {time.Second, 2}, {10 * time.Minute, 2}, {3 * time.Hour, 3}, {24 * time.Hour, 3}} {
		t.Run(tt.delay.String(), func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				s.listen()
				due := at(time.Now().Add(tt.delay))
				s.wait(1, due)
				time.Sleep(tt.delay - lead) // an idle day takes seconds
				s.start(calm).ready(all)
				time.Sleep(time.Until(due(0)))
				if late := s.once(1, 0, due); tt.delay > 0 && late > 10*time.Millisecond {
					t.Errorf("it came back %v late", late)
				}
				time.Sleep(time.Minute)
				if got := s.writes(); got != tt.writes {
					t.Errorf("%d writes, want %d", got, tt.writes)
				}
			})
		})
	}
}

// TestWritesOfAMonthAndAYear follows the route of far dues: one write for each 46 hours and two more.
func TestWritesOfAMonthAndAYear(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC)
	for _, days := range []int{30, 365} {
		clock, due, writes := now, now.AddDate(0, 0, days), 1
		for place := tier.Route(due, clock); place.Wait; place = tier.Route(due, clock) {
			writes++
			wheel := tier.Minute
			if place.Hour {
				wheel = tier.Hour
			}
			clock = wheel.Next(place.Partition, clock).Add(-wheel.Lead)
			if !place.Hour {
				clock = due
			}
		}
		if most := days*24/45 + 3; writes > most {
			t.Errorf("%d days cost %d writes, want at most %d", days, writes, most)
		}
		t.Logf("%d days cost %d writes", days, writes)
	}
}

// TestFarDue: six days, carried by forwarders that run only once in two days.
func TestFarDue(t *testing.T) {
	const days = 6
	play(t, func(t *testing.T, s *stage) {
		due := time.Now().AddDate(0, 0, days)
		s.wait(1, at(due))
		for time.Until(due) > 45*time.Hour {
			time.Sleep(45 * time.Hour)
			f := s.start(calm)
			f.ready(all)
			time.Sleep(time.Minute)
			f.stop()
		}
		time.Sleep(time.Until(due.Add(-15 * time.Minute))) // it is due on the hour, and the hour slot opens 5 minutes before
		s.listen()
		s.start(calm).ready(all)
		if late := s.once(1, 0, at(due)); late > 10*time.Millisecond {
			t.Errorf("it came back %v late", late)
		}
		if got := s.writes(); got > int64(days*24/45+4) {
			t.Errorf("%d days cost %d writes", days, got)
		}
	})
}

// TestOutage: nothing runs while tasks come due, for two laps of the minute tier and for longer than the hour tier's.
func TestOutage(t *testing.T) {
	for outage, within := range map[time.Duration]time.Duration{
		4 * time.Hour: 4*time.Hour + 20*time.Minute, 100 * time.Hour: 45 * time.Hour,
	} {
		t.Run(outage.String(), func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				const n = 200
				begin := time.Now()
				due := func(i int) time.Time { return begin.Add(time.Duration(i+1) * within / n) }
				s.wait(n, due)
				time.Sleep(outage)
				s.listen()
				s.start(calm).ready(all)
				overdue := 0
				for overdue < n && due(overdue).Before(time.Now()) {
					overdue++
				}
				up := time.Now()
				s.await(overdue)
				if took := time.Since(up); took > 5*time.Minute {
					t.Errorf("%d overdue tasks took %v", overdue, took)
				}
				time.Sleep(time.Until(begin.Add(within + time.Second)))
				s.once(n, 0, due)
			})
		})
	}
}

// readers counts the fetch sessions that begin: one for each reader that is opened.
func (s *stage) readers() func() int {
	lists := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		return r.(*kmsg.FetchRequest).SessionEpoch == 0
	}})
	return lists.Hits
}

// TestEmptySlotsCloseAndStayClosed: slots that had something in an earlier lap, and have nothing now, are opened once a
// lap and closed again. Once they stayed open, until no other could be opened.
func TestEmptySlotsCloseAndStayClosed(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		f := s.start(calm)
		f.ready(all)
		const n, lap = 36, 90 * time.Minute
		begin := time.Now()
		first := func(i int) time.Time { return begin.Add(time.Duration(i) * 50 * time.Second) }
		s.wait(n, first)
		s.await(n)
		time.Sleep(time.Until(begin.Add(lap)))
		opens := s.readers()
		was := opens()
		time.Sleep(n * time.Minute)
		if opened := opens() - was; opened > n*4/3 {
			t.Errorf("%d readers were opened in %d minutes", opened, n)
		}
		open := 0
		f.do(func() { open = len(f.opened) })
		if open > 15 {
			t.Errorf("%d slots are open", open)
		}
		due := time.Now().Add(5 * time.Minute)
		s.waitFrom(n, n+1, s.queue, at(due))
		time.Sleep(5*time.Minute + time.Second)
		if got := len(s.await(n)); got != n+1 {
			t.Error("a task of the second lap did not come back")
		}
	})
}

// TestAClosedSlotIsNotReadAgain at the next assignment.
func TestAClosedSlotIsNotReadAgain(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		f := s.start(calm)
		f.ready(all)
		due := time.Now().Add(time.Minute)
		s.wait(10, at(due))
		s.once(10, 0, at(due))
		time.Sleep(15 * time.Minute)
		f.stop()
		f = s.start(calm)
		f.ready(all)
		time.Sleep(3 * time.Second)
		f.do(func() {
			for _, slot := range f.opened {
				if !time.Now().Before(slot.closes()) {
					t.Errorf("slot %d of %v is read again", slot.partition, slot.start)
				}
			}
		})
		s.once(10, 0, at(due))
	})
}

// TestASlotThatWasNotClosedIsReadAgain: a forwarder dies in the middle of a slot in which nothing waits at that time.
// What is written to it afterwards comes back when a forwarder runs again, not a lap later.
func TestASlotThatWasNotClosedIsReadAgain(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute + time.Second)))
		due := time.Now().Add(5 * time.Second)
		f := s.start(calm)
		f.ready(all)
		s.wait(1, at(due))
		s.await(1)
		time.Sleep(time.Second)
		f.stop()
		s.waitFrom(1, 2, s.queue, at(due.Add(20*time.Second)))
		time.Sleep(20 * time.Minute)
		up := time.Now()
		s.start(calm).ready(all)
		if s.await(2); time.Since(up) > time.Minute {
			t.Errorf("it came back %v after the start", time.Since(up))
		}
	})
}

// TestNextLap: a record of the next lap, from a clock that is wrong, stays where it is, comes back in its time, and
// those around it come back once, though it holds the commit back; through restarts as well.
func TestNextLap(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			if !restart && testing.Short() {
				t.Skip("a lap is long: ./check long runs it, and TestHeldThroughALateOpening has one without a restart")
			}
			play(t, func(t *testing.T, s *stage) {
				s.listen()
				soon := time.Now().Add(time.Minute)
				lap := 90 * time.Minute
				p := tier.Minute.Partition(soon)
				due := func(i int) time.Time {
					if i == 0 {
						return soon.Add(lap)
					}
					return soon
				}
				for i := range 20 {
					s.place(names.RetryMinute(s.prefix), p, s.stamped(i, due(i)))
				}
				f := s.start(calm)
				f.ready(all)
				// In the slot itself the next lap is beyond the tier's horizon, and so is routed; shortly after, it is not.
				time.Sleep(time.Until(soon.Add(15 * time.Minute)))
				if restart {
					f.stop()
					time.Sleep(time.Until(soon.Add(lap - 5*time.Minute)))
					s.start(calm).ready(all)
				}
				time.Sleep(time.Until(soon.Add(lap + tier.Minute.OpenFor + time.Minute)))
				if late := s.once(20, 0, due); late > 10*time.Millisecond {
					t.Errorf("one came back %v late", late)
				}
			})
		})
	}
}

// TestHeldThroughALateOpening: the slot is opened late, when the next lap is within the horizon, so a record of that lap is
// held, and the commit with it; nothing is lost, and nothing doubled in the next lap.
func TestHeldThroughALateOpening(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			if restart && testing.Short() {
				t.Skip("TestNextLap has a restart: ./check long runs both")
			}
			play(t, func(t *testing.T, s *stage) {
				s.listen()
				soon := time.Now().Add(10 * time.Minute)
				lap := 90 * time.Minute
				p := tier.Minute.Partition(soon)
				due := func(i int) time.Time {
					if i == 0 {
						return soon.Add(lap)
					}
					return soon
				}
				for i := range 20 {
					s.place(names.RetryMinute(s.prefix), p, s.stamped(i, due(i)))
				}
				time.Sleep(time.Until(soon.Add(75 * time.Minute)))
				f := s.start(calm)
				f.ready(all)
				s.await(19)
				time.Sleep(time.Minute)
				if restart {
					f.stop()
					s.start(calm).ready(all)
				}
				time.Sleep(time.Until(soon.Add(lap + tier.Minute.OpenFor + time.Minute)))
				s.once(20, 0, due)
				if got := s.size(names.RetryMinute(s.prefix)); got != 20 {
					t.Errorf("%d records were written to the tier, want 20", got)
				}
			})
		})
	}
}

// TestWrongSlot: a record that lies in a slot that is not its own is routed when that opens.
func TestWrongSlot(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Add(20 * time.Minute)
		for i, place := range []struct {
			topic     string
			partition int32
		}{
			{names.RetryMinute(s.prefix), tier.Minute.Partition(due) - 5},
			{names.RetryHour(s.prefix), tier.Hour.Partition(time.Now())},
		} {
			if place.partition < 0 {
				place.partition += tier.Minute.Partitions
			}
			s.place(place.topic, place.partition, s.stamped(i, due))
		}
		s.start(calm).ready(all)
		if late := s.once(2, 0, at(due)); late > 10*time.Millisecond {
			t.Errorf("one came back %v late", late)
		}
	})
}

// hostile records, and whose dead letters they become.
func (s *stage) hostile() map[string]*kgo.Record {
	stamp := func(i int, queue, due string) *kgo.Record {
		r := example(i)
		if queue != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_ttqueue", Value: []byte(queue)})
		}
		if due != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_ttdue", Value: []byte(due)})
		}
		return r
	}
	soon := fmt.Sprint(time.Now().UnixMilli())
	return map[string]*kgo.Record{
		"due is garbage":      stamp(100, s.queue, "soon"),
		"due is negative":     stamp(101, s.queue, "-5"),
		"due in 9999":         stamp(102, s.queue, "253402300799000"),
		"due beyond 9999":     stamp(103, s.queue, "253402300800000"),
		"due overflows":       stamp(104, s.queue, strings.Repeat("9", 400)),
		"no due":              stamp(105, s.queue, ""),
		"queue is illegal":    stamp(106, "a/b", soon),
		"queue is too long":   stamp(107, strings.Repeat("q", 300), soon),
		"queue is missing":    stamp(108, "", soon),
		"no stamp":            stamp(109, "", ""),
		"no event at all":     {Value: []byte("\xff\x00")},
		"null":                {},
		"made-up queue":       stamp(110, "nobody-has-this", "garbage"),
		"a turn of nonsense":  {Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: "ce_ttqueue", Value: []byte(s.queue)}, {Key: "ce_ttdue", Value: []byte(soon)}, {Key: "ce_ttturn", Value: []byte("-1")}}},
		"a queue like a dead": stamp(111, "x.dead", soon),
	}
}

// A record of a retry tier with invalid headers becomes one dead letter, and the records behind it are forwarded on
// time. Pitfall 12 of docs/pitfalls.md.
func TestInvalidHeadersBecomeDeadLetters(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Add(30 * time.Second)
		p := tier.Minute.Partition(due)
		hostile := s.hostile()
		for _, r := range hostile {
			s.place(names.RetryMinute(s.prefix), p, r)
		}
		s.start(calm).ready(all)
		s.wait(5, at(due))
		if late := s.once(5, 0, at(due)); late > 10*time.Millisecond {
			t.Errorf("those behind came back %v late", late)
		}
		time.Sleep(15 * time.Minute)
		letters := s.all(names.Dead(s.queue))
		if len(letters) != len(hostile) {
			t.Errorf("%d letters, want %d", len(letters), len(hostile))
		}
		for _, l := range letters {
			for _, h := range l.Headers {
				if h.Key == "ce_ttreason" && string(h.Value) != "invalid" {
					t.Errorf("a letter's reason is %s", h.Value)
				}
			}
		}
		if got := s.writes(); got != int64(len(hostile))+10 {
			t.Errorf("%d records were written in all, want %d", got, len(hostile)+10)
		}
	})
}

// TestQueueWithoutTopic: its tasks delay no others, cost little, and come back when the topic is there. Those that fill
// the memory delay others by seconds.
func TestQueueWithoutTopic(t *testing.T) {
	for _, tt := range []struct{ memory, late int64 }{{64 << 20, 10}, {32 << 10, 60_000}} {
		t.Run(fmt.Sprint(tt.memory), func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				s.listen()
				f := s.start(calm, func(c *Config) { c.MaxBytes = tt.memory })
				f.ready(all)
				begin := time.Now().Add(time.Minute)
				const stuck, others = 60, 8
				missing := s.prefix + ".later"
				s.waitFrom(1000, 1000+stuck, missing, func(i int) time.Time { return begin.Add(time.Duration(i-1000) * 5 * time.Second) })
				due := func(i int) time.Time { return begin.Add(time.Duration(i) * time.Minute) }
				s.wait(others, due)
				time.Sleep(10 * time.Minute)
				if late := s.once(others, 0, due); late.Milliseconds() > tt.late {
					t.Errorf("another queue's task was %v late", late)
				}
				was := s.writes()
				time.Sleep(10 * time.Minute)
				if n := s.writes() - was; n > stuck*3 {
					t.Errorf("%d tasks cost %d writes in ten minutes", stuck, n)
				}
				s.create(names.Pending(missing), 1)
				time.Sleep(15 * time.Minute)
				if got := s.size(names.Pending(missing)); got != stuck {
					t.Errorf("%d of %d tasks are back", got, stuck)
				}
			})
		})
	}
}

// TestRefusedRecordDelaysNoPass: one record is refused while the rest of its slot needs further passes.
func TestRefusedRecordDelaysNoPass(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		due := time.Now().Truncate(time.Minute).Add(90 * time.Second)
		s.waitFrom(1000, 1003, s.prefix+".never", at(due.Add(-time.Second)))
		s.wait(500, at(due))
		s.start(calm, func(c *Config) { c.MaxBytes = 100 << 10 }).ready(all)
		if late := s.once(500, 0, at(due)); late > time.Minute {
			t.Errorf("the last came back %v late", late)
		}
	})
}

// A tier topic that was created again while the group's offsets stayed is read from its start. Pitfall 49 of
// docs/pitfalls.md.
func TestTierOfAnotherLife(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		due := time.Now().Add(time.Minute)
		p := tier.Minute.Partition(due)
		f := s.start(calm)
		f.ready(all)
		commits := map[string]map[int32]kgo.EpochOffset{names.RetryMinute(s.prefix): {p: {Epoch: -1, Offset: 500}}}
		f.group.CommitOffsetsSync(context.Background(), commits, nil)
		f.stop()
		s.wait(3, at(due))
		s.listen()
		s.start(calm).ready(all)
		if late := s.once(3, 0, at(due)); late > 10*time.Millisecond {
			t.Errorf("%v late", late)
		}
	})
}
