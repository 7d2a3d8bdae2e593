package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/config"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

// cluster is a Kafka with one queue "q".
func cluster(t *testing.T) (*kfake.Cluster, config.Kafka) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "q.pending"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, config.Kafka{Brokers: c.ListenAddrs()}
}

func loaderFor(t *testing.T, kafka config.Kafka, queue string) *loader {
	t.Helper()
	l, err := newLoader(t.Context(), kafka, queue, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func plainLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"%d","type":"x","payload":{"n":%d.10}}`+"\n", i, i)
	}
	return b.String()
}

func TestLoadSendsLinesByteForByte(t *testing.T) {
	_, kafka := cluster(t)
	input := plainLines(3000)
	l := loaderFor(t, kafka, "q")
	count, err := l.load(t.Context(), newTaskFile(strings.NewReader(input), 1<<20), watcher{})
	if want := (loaded{Lines: 3000, Sent: 3000, last: 3000}); count != want || err != nil {
		t.Fatalf("%+v (%v), want %+v", count, err, want)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers...), kgo.ConsumeTopics("q.pending"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for n := 0; n < 3000; {
		reader.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			n++
			if !strings.Contains(input, string(r.Value)+"\n") {
				t.Errorf("%q is no line of the file", r.Value)
			}
		})
	}
}

func TestLoadOfAMissingTopicSaysHowToCreateIt(t *testing.T) {
	_, kafka := cluster(t)
	count, err := loaderFor(t, kafka, "nowhere").load(t.Context(), newTaskFile(strings.NewReader(plainLines(5)), 1<<20), watcher{})
	if want := "topic nowhere.pending does not exist; create it with: tasktier topic apply --queue nowhere"; errorText(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
	if count.Sent != 0 || count.Lines != count.Failed {
		t.Errorf("%+v", count)
	}
}

// A line that the broker refuses is named; it stops nothing.
func TestLoadGoesOnAfterARefusedLine(t *testing.T) {
	c, kafka := cluster(t)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		for _, topic := range produce.Topics {
			for _, p := range topic.Partitions {
				if bytes.Contains(p.Records, []byte("too-large")) {
					resp := produce.ResponseKind().(*kmsg.ProduceResponse)
					rt := kmsg.NewProduceResponseTopic()
					rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
					for _, p := range topic.Partitions {
						rp := kmsg.NewProduceResponseTopicPartition()
						rp.Partition, rp.ErrorCode = p.Partition, kerr.MessageTooLarge.Code
						rt.Partitions = append(rt.Partitions, rp)
					}
					resp.Topics = append(resp.Topics, rt)
					return resp, nil, true
				}
			}
		}
		return nil, nil, false
	})
	l := loaderFor(t, kafka, "q")
	// Lines are given one by one, each when the one before is settled, so that they share no batch.
	in, out := io.Pipe()
	settled := make(chan error)
	go func() { // ends with the file, which the loader reads to its end
		for _, id := range []string{"first", "too-large", "last"} {
			fmt.Fprintf(out, `{"id":"%s","type":"x"}`+"\n", id)
			if err := <-settled; err != nil && id != "too-large" {
				t.Error(err)
			}
		}
		out.Close()
	}()
	var named []string
	count, err := l.load(t.Context(), newTaskFile(in, 1<<20), watcher{
		sending: func(taskLine) func(error) { return func(err error) { settled <- err } },
		bad:     func(line int, reason string) { named = append(named, fmt.Sprint(line, " ", reason)) },
	})
	if want := (loaded{Lines: 3, Sent: 2, Failed: 1, last: 3}); count != want || err != nil {
		t.Errorf("%+v (%v), want %+v", count, err, want)
	}
	if len(named) != 1 || !strings.HasPrefix(named[0], "2 is too large for topic q.pending") {
		t.Errorf("named %q", named)
	}
}

// verifyNoLeaks fails the test if goroutines are left when all else is cleaned up.
func verifyNoLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// A file that hangs, as a terminal does, holds up no interruption; what was read by then is sent.
func TestLoadIsInterruptedWhileItsInputHangs(t *testing.T) {
	verifyNoLeaks(t)
	_, kafka := cluster(t)
	l := loaderFor(t, kafka, "q")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	defer out.Close()
	go fmt.Fprint(out, plainLines(2))
	sent := 0
	count, err := l.load(ctx, newTaskFile(in, 1<<20), watcher{
		sending: func(taskLine) func(error) {
			return func(error) {
				if sent++; sent == 2 {
					cancel()
				}
			}
		},
	})
	if want := (loaded{Lines: 2, Sent: 2, last: 2}); count != want || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v (%v), want %+v and its context's end", count, err, want)
	}
}
