package upkeep

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func TestDuty(t *testing.T) {
	t.Parallel()
	everywhere(t, 2, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 8, old)
		s.produce(s.topic, 0, 4, 0)
		s.produce(s.topic, 1, 3, old)
		s.commits(s.group, s.topic, 0, 10)
		d := s.duty(Trimming{History: day, KeepFor: []string{s.group}})
		if d.Name() != "upkeep."+s.queue || d.Stats().Leading {
			t.Errorf("%s is %+v", d.Name(), d.Stats())
		}
		stop := s.leads(s.membership(), d.Name(), d.Lead)
		s.until("what is old and finished is trimmed", func() bool { return d.Stats().Trimmed == 8 })
		stats := d.Stats()
		if !stats.Leading || stats.Lag != 5 || stats.Partitions[s.topic][0] != 2 || stats.Partitions[s.topic][1] != 3 || stats.Mirrored.IsZero() {
			t.Errorf("%+v", stats)
		}
		equal(t, "the logs begin", s.starts(), []int64{8, 0})
		equal(t, "the mirror", s.mirrored(), []int64{10, -1})

		revision := func() int64 { _, r, err := s.readMirror(s.ctx(), s.reader(s.queue)); must(t, err); return r }
		before, last := revision(), stats.Read
		s.until("more rounds", func() bool { return d.Stats().Read.Sub(last) > 150*time.Millisecond })
		if revision() != before {
			t.Error("the mirror is written though nothing has changed")
		}
		s.commits(s.group, s.topic, 0, 4) // an operator sets it back
		s.until("the mirror follows", func() bool { return s.mirrored()[0] == 4 })
		stop()
		if stats := d.Stats(); stats.Leading || stats.Lag != 0 || stats.Trimmed != 8 {
			t.Errorf("afterwards: %+v", stats)
		}
	})
}

func TestDutyForTheTiers(t *testing.T) {
	t.Parallel()
	everywhere(t, 1, func(t *testing.T, s *site) {
		minute, hour, group := names.RetryMinute(s.KafkaPrefix), names.RetryHour(s.KafkaPrefix), names.RetryGroup(s.KafkaPrefix)
		s.create(minute, 3)
		s.create(hour, 2)
		s.produce(minute, 2, 5, 0)
		s.produce(hour, 1, 4, 0)
		s.commits(group, minute, 2, 3)
		s.commits(group, hour, 1, 4)
		d, err := New(Config{Installation: s.Installation, Queue: Tiers, Every: 50 * time.Millisecond})
		must(t, err)
		if d.Name() != "upkeep" {
			t.Errorf("it is called %s", d.Name())
		}
		stop := s.leads(s.membership(), d.Name(), d.Lead)
		s.until("what was forwarded is trimmed", func() bool { return d.Stats().Trimmed == 7 })
		if lag := d.Stats().Lag; lag != 2 {
			t.Errorf("a lag of %d, want 2", lag)
		}
		stop()
		m, _, err := s.readMirror(s.ctx(), s.reader(Tiers))
		must(t, err)
		equal(t, "the mirror of minutes", m.Topics[minute].Offsets, []int64{-1, -1, 3})
		equal(t, "the mirror of hours", m.Topics[hour].Offsets, []int64{-1, 4})

		_, err = s.Kafka.DeleteGroup(s.ctx(), group)
		must(t, err)
		must(t, Resume(s.ctx(), s.Installation, Tiers))
		offsets, err := s.Kafka.FetchOffsets(s.ctx(), group)
		must(t, err)
		if o, _ := offsets.Lookup(minute, 2); o.At != 3 {
			t.Errorf("minutes go on at %d, want 3", o.At)
		}
		// Without a mirror they begin with what is left, and nobody has to be asked.
		_, err = s.Kafka.DeleteGroup(s.ctx(), group)
		must(t, err)
		_, err = s.Etcd.Delete(s.ctx(), s.reader(Tiers).key)
		must(t, err)
		must(t, Resume(s.ctx(), s.Installation, Tiers))
	})
}

// Two that lead at once, as after a pause, do no harm.
func TestTwoLeaders(t *testing.T) {
	t.Parallel()
	everywhere(t, 2, func(t *testing.T, s *site) {
		const n = 50
		for p := range int32(2) {
			s.produce(s.topic, p, n, old)
		}
		m := s.membership()
		var duties []*Duty
		for _, name := range []string{"one", "other"} {
			d := s.duty(Trimming{History: day})
			d.cfg.Every = 5 * time.Millisecond
			s.leads(m, name, d.Lead) // each in an election of its own
			duties = append(duties, d)
		}
		for at := int64(10); at <= n; at += 10 {
			s.commits(s.group, s.topic, 0, at)
			s.commits(s.group, s.topic, 1, at-5)
			s.until("it is trimmed", func() bool { return s.starts()[0] == at && s.starts()[1] == at-5 })
		}
		s.until("it is mirrored", func() bool { m := s.mirrored(); return m[0] == n && m[1] == n-5 })
		for _, d := range duties {
			s.until("each goes on", func() bool { return d.Stats().Lag == 5 })
		}
		if s.warnings("not trimmed") > 0 {
			t.Errorf("said %v", s.logs.All())
		}
	})
}

// A leader that sees nothing lets another one try.
func TestBlindLeaderGivesUp(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	s.queue += "-other" // which has no topic
	d := s.duty(Trimming{})
	term, stop := s.leading(s.membership())
	defer stop()
	if err := d.Lead(s.ctx(), term); err == nil {
		t.Error("it does not say why")
	}
	if s.warnings("can't see to the queue") != 1 {
		t.Errorf("said %v", s.logs.All())
	}
}

// One part that fails stops none of the others.
func TestPartsAreIndependent(t *testing.T) {
	t.Parallel()
	t.Run("etcd is away", func(t *testing.T) {
		t.Parallel()
		s := fakeSite(t, 1)
		term, stop := s.leading(s.membership())
		defer stop()
		nowhere, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}, Logger: zap.NewNop()})
		must(t, err)
		defer nowhere.Close()
		s.Etcd = nowhere
		s.produce(s.topic, 0, 5, old)
		s.commits(s.group, s.topic, 0, 3)
		s.led(s.duty(Trimming{}), term, func(d *Duty) {
			s.until("it is trimmed", func() bool { return d.Stats().Trimmed == 3 && d.Stats().Lag == 2 })
		})
		if s.warnings("not mirrored") != 1 {
			t.Errorf("said %v", s.logs.All())
		}
	})
	t.Run("a group of others can't be read", func(t *testing.T) {
		t.Parallel()
		s := fakeSite(t, 1)
		term, stop := s.leading(s.membership())
		defer stop()
		s.produce(s.topic, 0, 5, old)
		s.commits(s.group, s.topic, 0, 3)
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "audit", Err: kerr.GroupAuthorizationFailed, Count: -1})
		s.led(s.duty(Trimming{KeepFor: []string{"audit"}}), term, func(d *Duty) {
			s.until("it is mirrored", func() bool { return !d.Stats().Mirrored.IsZero() })
			s.until("it is said", func() bool { return s.warnings("not trimmed") == 1 })
		})
		equal(t, "the log begins", s.starts(), []int64{0})
	})
	t.Run("a group of others is not there", func(t *testing.T) {
		t.Parallel()
		s := fakeSite(t, 1)
		term, stop := s.leading(s.membership())
		defer stop()
		s.produce(s.topic, 0, 5, old)
		s.commits(s.group, s.topic, 0, 3)
		s.led(s.duty(Trimming{KeepFor: []string{"audit"}}), term, func(*Duty) {
			s.until("it is said", func() bool { return s.warnings("take it out of keep_for") == 1 })
		})
		equal(t, "the log begins", s.starts(), []int64{0})
	})
}

// led has a duty led in a term while check runs.
func (s *site) led(d *Duty, term coord.Term, check func(*Duty)) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	var leading sync.WaitGroup
	leading.Go(func() {
		if err := d.Lead(ctx, term); err != nil {
			s.t.Errorf("lead: %v", err)
		}
	})
	defer leading.Wait()
	defer cancel()
	check(d)
}

// A commit beyond the end, of a log that was cut, is believed by nobody.
func TestCommitBeyondTheEnd(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	s.produce(s.topic, 0, 5, old)
	s.commits(s.group, s.topic, 0, 7)
	d := s.duty(Trimming{})
	term, stop := s.leading(s.membership())
	defer stop()
	s.led(d, term, func(d *Duty) {
		s.until("a round is done", func() bool { return !d.Stats().Mirrored.IsZero() })
	})
	equal(t, "the log begins", s.starts(), []int64{0})
	equal(t, "the mirror", s.mirrored(), nil)
}

func TestRoundsDontFallTogether(t *testing.T) {
	for by, want := range map[float64]time.Duration{0: 54 * time.Second, 0.5: time.Minute, 1: 66 * time.Second} {
		if got := jitter(time.Minute, by).Round(time.Millisecond); got != want {
			t.Errorf("%v: %s, want %s", by, got, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	whole := Config{Installation: Installation{Kafka: new(kadm.Client), Etcd: new(clientv3.Client), KafkaPrefix: "x"}, Queue: "q"}
	if d, err := New(whole); err != nil || d.cfg.Every != time.Minute {
		t.Errorf("%v", err)
	}
	for name, edit := range map[string]func(*Config){
		"no Kafka":           func(c *Config) { c.Kafka = nil },
		"no etcd":            func(c *Config) { c.Etcd = nil },
		"no prefix":          func(c *Config) { c.KafkaPrefix = "" },
		"a negative history": func(c *Config) { c.History = -1 },
	} {
		c := whole
		edit(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// What a leader of the past finds out is not written.
func TestDutyInATermThatIsOver(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	s.produce(s.topic, 0, 5, 0)
	s.commits(s.group, s.topic, 0, 3)
	term, stop := s.leading(s.membership())
	stop()
	s.led(s.duty(Trimming{}), term, func(d *Duty) {
		s.until("it is said", func() bool { return s.warnings("not mirrored") == 1 })
		if stats := d.Stats(); stats.Lag != 2 || !stats.Mirrored.IsZero() {
			t.Errorf("%+v", stats)
		}
	})
	equal(t, "the mirror", s.mirrored(), nil)
}

// A commit that was read before somebody else wrote the mirror may be older than what that one wrote, so it is not taken
// for one that was set back.
func TestAnOlderCommitIsNotMirrored(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	s.produce(s.topic, 0, 9, 0)
	s.commits(s.group, s.topic, 0, 3)
	now, stop := s.leading(s.membership())
	defer stop()
	d := s.duty(Trimming{})
	must(t, d.round(s.ctx(), &term{Term: now}))
	equal(t, "the mirror", s.mirrored(), []int64{3})
	ctx, mirror := s.ctx(), s.reader(s.queue).key
	newer, _, err := s.readMirror(ctx, s.reader(s.queue))
	must(t, err)
	newer.Topics[s.topic].Offsets[0] = 7
	text, err := json.Marshal(newer)
	must(t, err)
	s.cluster.ControlKey(kmsg.OffsetFetch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.DropControl()
		if _, err := s.Etcd.Put(ctx, mirror, string(text)); err != nil {
			t.Error(err)
		}
		return nil, nil, false
	})
	s.commits(s.group, s.topic, 0, 5)
	must(t, d.round(s.ctx(), &term{Term: now}))
	equal(t, "the mirror", s.mirrored(), []int64{7})
}
