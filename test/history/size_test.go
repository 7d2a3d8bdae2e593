package history

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkCheck checks the history of half a million tasks, of which many fail, some are killed with their node, and some
// die: 500,000 tasks, 200 killed nodes, 200 flushes.
//
//	go test -run '^$' -bench Check -benchtime 1x ./test/history
func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	writeLarge(b, dir)
	debug.FreeOSMemory()
	for b.Loop() {
		report, err := Check(Read(dir), Rules{})
		must(b, err)
		if !report.OK() {
			report.Print(os.Stderr)
			b.Fatal("it was lawful")
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse>>20), "MiB")
		b.ReportMetric(float64(report.Events), "events")
	}
}

// writeLarge writes that history.
func writeLarge(b *testing.B, dir string) {
	b.Helper()
	const nodes, each = 200, 2500
	write := func(process string, events []Event) {
		var text []byte
		for i := range events {
			var err error
			text, err = appendLine(text, &events[i])
			must(b, err)
		}
		must(b, os.WriteFile(filepath.Join(dir, process+suffix), text, 0o600))
	}
	var sent, facts, told []Event
	last := epoch.Add(time.Hour)
	for n := range nodes {
		from := epoch.Add(time.Duration(n) * 9 * time.Second)
		var ran []Event
		for i := range each {
			id := fmt.Sprintf("0199d9a2-7c1e-7000-8000-%012d", n*each+i)
			of := Task{"storm", "/storm", id}
			plan := &Plan{Type: "work", Takes: 3}
			at := from + Moment(i)*3000
			offset := int64(n*each + i)
			sent = append(sent, Event{At: at, Kind: Sent, Task: of, Hash: 7, Plan: plan}, Event{At: at + 500, Kind: Acknowledged, Task: of})
			e := Event{At: at + 1000, Kind: Started, Task: of, Turn: 1, Attempt: 1, Fence: int64(at)}
			facts = append(facts, Event{At: last, Kind: Record, Task: of, Topic: "storm.pending", Offset: offset, Turn: 1, Attempt: 1, Hash: 7, Appended: at / 1000 * 1000})
			ran = append(ran, e)
			e.Kind, e.At, e.Outcome = Ended, at+2000, Succeeded
			if i%5 == 0 { // it fails, and its next turn succeeds
				plan.Fails, e.Outcome = 1, Failed
				ran = append(ran, e)
				facts = append(facts, Event{At: last, Kind: Record, Task: of, Topic: "tasktier.retry.minute", Offset: offset, Turn: 2, Attempt: 2, Hash: 7, Appended: (at + 2000) / 1000 * 1000, Due: (at + 2000) / 1000 * 1000})
				e = Event{At: at + 4000, Kind: Started, Task: of, Turn: 2, Attempt: 2, Fence: int64(at) + 1}
				ran = append(ran, e)
				e.Kind, e.At, e.Outcome = Ended, at+5000, Succeeded
			}
			ran = append(ran, e)
			facts = append(facts, Event{At: last, Kind: Claim, Task: of, State: "succeeded", Turn: e.Turn, Fence: e.Fence, Finished: e.At, Result: runName(fmt.Sprintf("node-%d", n), e.Fence)})
		}
		name := fmt.Sprintf("node-%d", n)
		sortEvents(ran)
		write(name, ran)
		end := from.Add(9 * time.Second)
		told = append(told, Event{At: end, Kind: Killed, Target: name}, Event{At: end + 1000, Kind: Died, Target: name},
			Event{At: end + 2000, Kind: Fault, Name: fmt.Sprintf("flush redis #%d", n), Server: "redis", Forgets: Flushed},
			Event{At: end + 3000, Kind: Mended, Name: fmt.Sprintf("flush redis #%d", n)},
			Event{At: end + 4000, Kind: Over, Target: name},
			Event{At: end + 4000, Kind: Committed, Topic: "storm.pending", Offset: int64((n + 1) * each)})
	}
	facts = append(facts, Event{At: last, Kind: Collected, Name: "claims"}, Event{At: last, Kind: Collected, Name: "storm.pending"}, Event{At: last, Kind: Collected, Name: "storm.dead"})
	sortEvents(told)
	write("producer", sent)
	write("collector", facts)
	write("nemesis", told)
}
