package consumer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/watermark"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// desk is a queue without brokers: a test plays the client.
func desk(t *testing.T) *queue {
	t.Helper()
	c, err := New(Config{Kafka: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Queues: []Queue{{Name: "tasks"}}, Mux: NewMux()})
	if err != nil {
		t.Fatal(err)
	}
	q := c.queues[0]
	t.Cleanup(func() {
		q.lost(map[string][]int32{names.Pending("tasks"): {0}}) // so that it does not try to commit
		c.Close()
	})
	return q
}

// logged is a record of the log: an offset and the epoch of the leader that wrote it.
type logged struct {
	offset int64
	epoch  int32
}

func batch(records ...logged) kgo.Fetches {
	var all []*kgo.Record
	for _, r := range records {
		all = append(all, &kgo.Record{Topic: names.Pending("tasks"), Offset: r.offset, LeaderEpoch: r.epoch})
	}
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: names.Pending("tasks"), Partitions: []kgo.FetchPartition{{Records: all}}}}}}
}

// stretch is the records from one offset to before another, of one epoch.
func stretch(from, to int64, epoch int32) (records []logged) {
	for ; from < to; from++ {
		records = append(records, logged{from, epoch})
	}
	return records
}

// assign is what the client does when partition 0 comes: it calls assigned, then fetched with what the group knows.
func assign(q *queue, known progress, code int16) *partition {
	q.assigned(map[string][]int32{names.Pending("tasks"): {0}})
	q.fetched(&kmsg.OffsetFetchResponse{Groups: []kmsg.OffsetFetchResponseGroup{{Topics: []kmsg.OffsetFetchResponseGroupTopic{{
		Topic: names.Pending("tasks"), Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{{Offset: known.offset, Metadata: &known.ranges, ErrorCode: code}},
	}}}}})
	return q.partitions[0]
}

func offsets(turns []*turn) (all []int64) {
	for _, t := range turns {
		all = append(all, t.record.Offset)
	}
	return all
}

func settle(turns ...*turn) {
	for _, t := range turns {
		t.part.start()
		t.part.settle(t)
	}
}

// text writes ranges of an epoch down.
func text(watermarkAt int64, epoch int32, ends ...int64) string {
	return watermark.Encode(watermarkAt, func(yield func(watermark.Span) bool) {
		for i := 0; i < len(ends) && yield(watermark.Span{From: ends[i], To: ends[i+1], Epoch: epoch}); i += 2 {
		}
	}, maxRanges)
}

// noted says which offsets a text holds for finished.
func noted(t *testing.T, written string) (all []int64) {
	t.Helper()
	r, ok := watermark.Decode(written)
	if !ok {
		t.Fatalf("%q can't be read", written)
	}
	for s := range r.Above(0) {
		all = append(all, s.From, s.To)
	}
	return all
}

func TestFinishedRecordsAreCompleteAtOnce(t *testing.T) {
	q := desk(t)
	known := progress{10, text(10, 3, 12, 15, 20, 30, 40, 50)}
	p := assign(q, known, 0)

	turns := q.admit(batch(append(stretch(10, 12, 2), stretch(12, 25, 3)...)...))
	if got, want := offsets(turns), []int64{10, 11, 15, 16, 17, 18, 19}; !slices.Equal(got, want) {
		t.Fatalf("of 10 to 24 these are to run: %v, want %v", got, want)
	}
	if count, _ := q.window.load(); count != 7 {
		t.Errorf("the window is charged with %d records, 7 of which are turns", count)
	}
	if now, ok := p.due(maxRanges); ok {
		t.Errorf("%+v is to be committed although nothing changed", now)
	}
	// What was not seen yet is kept for the next one.
	settle(turns[0], turns[2])
	now, ok := p.due(maxRanges)
	if !ok || now.offset != 11 || !slices.Equal(noted(t, now.ranges), []int64{12, 16, 20, 30, 40, 50}) {
		t.Errorf("to be committed: %+v, %t", now, ok)
	}
	// A watermark in the middle of a range that was not fetched yet.
	settle(turns[1], turns[3], turns[4], turns[5], turns[6])
	now, ok = p.due(maxRanges)
	if !ok || now.offset != 25 || !slices.Equal(noted(t, now.ranges), []int64{25, 30, 40, 50}) {
		t.Errorf("to be committed: %+v, %t", now, ok)
	}
	if got := offsets(q.admit(batch(stretch(25, 60, 3)...))); !slices.Equal(got, append(offsetRange(30, 40), offsetRange(50, 60)...)) {
		t.Errorf("of 25 to 59 these are to run: %v", got)
	}
}

// Ranges hold records of several leaders apart, and those without one out.
func TestRangesOfSeveralLeaders(t *testing.T) {
	q := desk(t)
	p := assign(q, progress{offset: 0}, 0)
	log := slices.Concat(stretch(0, 5, 1), stretch(5, 10, 2), stretch(12, 20, -1), stretch(20, 30, 4))
	turns := q.admit(batch(log...))
	settle(turns[1:]...)
	now, ok := p.due(maxRanges)
	if !ok {
		t.Fatal("nothing is to be committed")
	}
	r, _ := watermark.Decode(now.ranges)
	for _, l := range log {
		if got, want := r.Contains(l.offset, l.epoch), l.offset > 0 && l.epoch >= 0; got != want {
			t.Errorf("%+v: %t, want %t", l, got, want)
		}
		if r.Contains(l.offset, l.epoch+1) {
			t.Errorf("%+v: a later leader's record is taken for it", l)
		}
	}
	// The eras that the watermark has passed are forgotten.
	settle(turns[0])
	if _, ok := p.due(maxRanges); !ok || len(p.eras) != 1 {
		t.Errorf("%d eras are kept when all is finished", len(p.eras))
	}
}

func offsetRange(from, to int64) (all []int64) {
	for ; from < to; from++ {
		all = append(all, from)
	}
	return all
}

// Ranges are believed for the log, the offset and the records they were written for, and for nothing else.
func TestVoidRanges(t *testing.T) {
	q := desk(t)
	meant := text(10, 3, 12, 20)
	for name, c := range map[string]struct {
		known   progress
		code    int16
		records []logged
		run     []int64
	}{
		"as they are meant":              {progress{10, meant}, 0, stretch(10, 22, 3), []int64{10, 11, 20, 21}},
		"gaps in the log":                {progress{10, meant}, 0, []logged{{10, 1}, {14, 3}, {21, 3}}, []int64{10, 21}},
		"log begins above the watermark": {progress{10, meant}, 0, stretch(15, 22, 3), []int64{20, 21}},
		"offset was moved":               {progress{11, meant}, 0, stretch(11, 22, 3), offsetRange(11, 22)},
		"offset was moved back":          {progress{0, meant}, 0, stretch(0, 22, 3), offsetRange(0, 22)},
		"log begins below":               {progress{10, meant}, 0, stretch(0, 22, 3), offsetRange(0, 22)},
		"truncated and grown again":      {progress{10, meant}, 0, append(stretch(10, 15, 3), stretch(15, 22, 4)...), []int64{10, 11, 15, 16, 17, 18, 19, 20, 21}},
		"written by another leader":      {progress{10, meant}, 0, append(stretch(10, 15, 2), stretch(15, 22, 3)...), []int64{10, 11, 12, 13, 14, 20, 21}},
		"records without an epoch":       {progress{10, meant}, 0, stretch(10, 22, -1), offsetRange(10, 22)},
		"no offset":                      {progress{-1, meant}, 0, stretch(10, 22, 3), offsetRange(10, 22)},
		"could not be read":              {progress{10, meant}, kerr.UnknownTopicOrPartition.Code, stretch(10, 22, 3), offsetRange(10, 22)},
		"no metadata":                    {progress{10, ""}, 0, stretch(10, 22, 3), offsetRange(10, 22)},
		"somebody else's metadata":       {progress{10, "kgo-1:" + meant}, 0, stretch(10, 22, 3), offsetRange(10, 22)},
		"metadata that was cut":          {progress{10, meant[:len(meant)-1]}, 0, stretch(10, 22, 3), offsetRange(10, 22)},
		"metadata that is long":          {progress{10, meant + strings.Repeat("AA", 1<<15)}, 0, stretch(10, 22, 3), []int64{10, 11, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			assign(q, c.known, c.code)
			if got := offsets(q.admit(batch(c.records...))); !slices.Equal(got, c.run) {
				t.Errorf("to run: %v, want %v", got, c.run)
			}
		})
	}
}

// An answer that comes when records were admitted already, which the client does not do, changes nothing.
func TestRangesDoNotComeLate(t *testing.T) {
	q := desk(t)
	assign(q, untold, 0)
	p := q.partitions[0]
	q.admit(batch(stretch(0, 5, 0)...))
	p.beginAt(progress{0, text(0, 0, 5, 10)})
	if got := offsets(q.admit(batch(stretch(5, 10, 0)...))); !slices.Equal(got, offsetRange(5, 10)) {
		t.Errorf("to run: %v", got)
	}
}

// A log that goes back is another one: nothing that was known of the old one is believed or left with the group.
func TestRangesEndWithTheirLog(t *testing.T) {
	q := desk(t)
	assign(q, progress{10, text(10, 3, 12, 15, 20, 30)}, 0)
	turns := q.admit(batch(stretch(10, 16, 3)...))
	settle(turns[1:]...)
	if got := offsets(q.admit(batch(stretch(0, 40, 3)...))); !slices.Equal(got, offsetRange(0, 40)) {
		t.Fatalf("to run: %v", got)
	}
	settle(turns[0]) // too late
	if now, ok := q.partitions[0].due(maxRanges); !ok || now != (progress{0, ""}) {
		t.Errorf("%+v is to be committed, %t", now, ok)
	}
}

// Ranges of another length than the broker takes are not told to it again.
func TestRangesLimit(t *testing.T) {
	q := desk(t)
	q.withoutRanges(map[int32]duty{0: {nil, progress{0, strings.Repeat("x", 1000)}}, 1: {nil, progress{0, strings.Repeat("x", 400)}}, 2: {}})
	if q.rangesLimit != 200 {
		t.Errorf("after 400 bytes were refused the limit is %d", q.rangesLimit)
	}
	q.withoutRanges(map[int32]duty{0: {nil, progress{0, strings.Repeat("x", 120)}}})
	if q.rangesLimit != 0 {
		t.Errorf("after 120 bytes were refused the limit is %d", q.rangesLimit)
	}
}

// A random life of a partition: polls, completions, commits, crashes, logs that lose their end and grow again under a new
// leader, before a crash and after. Whatever happens, a record that is taken for finished was finished.
func TestNothingIsTakenForFinishedThatWasNot(t *testing.T) {
	q := desk(t)
	taken := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		upTo := func(n int) int { return 1 + rng.IntN(n) }
		log := stretch(0, 100, 0)
		for i := range log {
			log[i].epoch = int32(i / 40)
		}
		epoch := int32(2)
		done := make(map[logged]bool)
		group := untold
		var open []*turn
		var position int64

		begin := func() {
			open, position = nil, max(group.offset, 0)
			assign(q, group, 0)
			if position > int64(len(log)) {
				position = 0 // out of range
			}
		}
		begin()
		acts := map[string]func(){
			"poll": func() {
				// The client notices a log that has become shorter, and goes on at its end.
				position = min(position, int64(len(log)))
				n := min(int64(upTo(40)), int64(len(log))-position)
				if n == 0 {
					return
				}
				polled := log[position : position+n]
				position += n
				before := q.partitions[0]
				unfinished := before.tracker.Offset()
				turns := q.admit(batch(polled...))
				if q.partitions[0] != before {
					open = nil
					if unfinished < polled[0].offset {
						position = unfinished // as restart tells the client
						return
					}
				}
				open = append(open, turns...)
				run := make(map[int64]bool)
				for _, o := range offsets(turns) {
					run[o] = true
				}
				for _, r := range polled {
					if run[r.offset] {
						continue
					}
					taken++
					if !done[r] {
						t.Fatalf("seed %d: %+v is taken for finished and was not", seed, r)
					}
				}
			},
			"finish": func() {
				for range upTo(30) {
					if len(open) == 0 {
						return
					}
					i := rng.IntN(len(open))
					done[logged{open[i].record.Offset, open[i].record.LeaderEpoch}] = true
					settle(open[i])
					open = slices.Delete(open, i, i+1)
				}
			},
			"commit": func() {
				if now, ok := q.partitions[0].due(rng.IntN(200)); ok {
					group = now
					q.partitions[0].tell(now)
				}
			},
			"crash": begin,
			"truncate": func() {
				log = slices.Clone(log[:rng.IntN(len(log)+1)])
				epoch++
			},
			"append": func() {
				for range upTo(60) {
					log = append(log, logged{int64(len(log)), epoch})
				}
			},
		}
		// Mostly work, and now and then a blow.
		often := slices.Concat(slices.Repeat([]string{"poll", "finish", "commit"}, 5), []string{"crash", "crash", "append", "truncate"})
		for range 200 {
			acts[often[rng.IntN(len(often))]]()
		}
	}
	if taken < 1000 {
		t.Errorf("only %d records were taken for finished: this test shows little", taken)
	}
}
