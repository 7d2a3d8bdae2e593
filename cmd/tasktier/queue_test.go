package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A queueLog is the topic of a queue "q" in a Kafka of its own.
type queueLog struct {
	t       *testing.T
	cluster *kfake.Cluster
	kafka   config.Kafka
	client  *kgo.Client
	adm     *kadm.Client
}

func newQueueLog(t *testing.T, partitions int32) *queueLog {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	l := &queueLog{t: t, cluster: cluster, kafka: config.Kafka{Brokers: cluster.ListenAddrs(), Prefix: "p"}}
	if l.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.client.Close)
	l.adm = kadm.NewClient(l.client)
	if _, err := l.adm.CreateTopic(t.Context(), partitions, 1, nil, names.Pending("q")); err != nil {
		t.Fatal(err)
	}
	return l
}

// write appends a record that was written so long ago.
func (l *queueLog) write(partition int32, ago time.Duration, value string) {
	l.t.Helper()
	r := &kgo.Record{Topic: names.Pending("q"), Partition: partition, Value: []byte(value), Timestamp: time.Now().Add(-ago)}
	if err := l.client.ProduceSync(l.t.Context(), r).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *queueLog) commit(partition int32, at int64) {
	l.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(names.Pending("q"), partition, at, -1)
	if err := l.adm.CommitAllOffsets(l.t.Context(), names.Group("p", "q"), offsets); err != nil {
		l.t.Fatal(err)
	}
}

// trim deletes what lies below an offset.
func (l *queueLog) trim(partition int32, below int64) {
	l.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(names.Pending("q"), partition, below, -1)
	if _, err := l.adm.DeleteRecords(l.t.Context(), offsets); err != nil {
		l.t.Fatal(err)
	}
}

// refuseOffsets makes the broker answer so when it is asked for a group's offsets next.
func (l *queueLog) refuseOffsets(code *kerr.Error) {
	l.cluster.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, g := range req.(*kmsg.OffsetFetchRequest).Groups {
			refused := kmsg.NewOffsetFetchResponseGroup()
			refused.Group, refused.ErrorCode = g.Group, code.Code
			resp.Groups = append(resp.Groups, refused)
		}
		return resp, nil, true
	})
}

// hideCoordinator makes the broker know of no coordinator, so many times. It says how often it was asked for one.
func (l *queueLog) hideCoordinator(times int32) (asked *atomic.Int32) {
	asked = new(atomic.Int32)
	l.cluster.ControlKey(int16(kmsg.FindCoordinator), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if asked.Add(1) > times {
			return nil, nil, false
		}
		l.cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		for _, key := range req.(*kmsg.FindCoordinatorRequest).CoordinatorKeys {
			hidden := kmsg.NewFindCoordinatorResponseCoordinator()
			hidden.Key, hidden.ErrorCode = key, kerr.CoordinatorNotAvailable.Code
			resp.Coordinators = append(resp.Coordinators, hidden)
		}
		return resp, nil, true
	})
	return asked
}

func TestBacklog(t *testing.T) {
	l := newQueueLog(t, 5)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := backlogOf(ctx, l.adm, "p", "other"); !errors.Is(err, errNoQueueTopic) {
		t.Errorf("a queue without a topic: %v", err)
	}
	for p, records := range []int{3, 3, 3, 3, 0} {
		for range records {
			l.write(int32(p), time.Hour, "x")
		}
	}
	b, err := backlogOf(ctx, l.adm, "p", "q") // no node has ever run
	if err != nil || b.lag() != 12 {
		t.Errorf("lag is %d, %v", b.lag(), err)
	}
	l.commit(1, 2)
	l.commit(2, 3)
	l.trim(2, 3)
	l.commit(3, 1)
	l.trim(3, 2) // behind the group's back
	if b, err = backlogOf(ctx, l.adm, "p", "q"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range b.partitions {
		got = append(got, fmt.Sprint(p.Partition, ": ", p.Start, " ", figure(p.Committed), " ", p.End, " ", p.Lag))
	}
	want := []string{"0: 0 - 3 3", "1: 0 2 3 1", "2: 3 3 3 0", "3: 2 1 3 1", "4: 0 - 0 0"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || b.lag() != 5 {
		t.Errorf("got  %q, lag %d\nwant %q, lag 5", got, b.lag(), want)
	}
}

// A new cluster has no coordinator before somebody asks for one.
func TestBacklogWaitsForTheCoordinator(t *testing.T) {
	l := newQueueLog(t, 1)
	l.write(0, time.Hour, "x")
	asked := l.hideCoordinator(3)
	if b, err := backlogOf(t.Context(), l.adm, "p", "q"); err != nil || b.lag() != 1 || asked.Load() < 4 {
		t.Errorf("lag %d, %v, asked %d times", b.lag(), err, asked.Load())
	}
}

func TestBacklogOfGroupsThatCanNotBeRead(t *testing.T) {
	l := newQueueLog(t, 1)
	l.write(0, time.Hour, "x")
	l.refuseOffsets(kerr.GroupIDNotFound)
	if b, err := backlogOf(t.Context(), l.adm, "p", "q"); err != nil || b.lag() != 1 {
		t.Errorf("no node has ever run: lag %d, %v", b.lag(), err)
	}
	l.refuseOffsets(kerr.GroupAuthorizationFailed)
	if _, err := backlogOf(t.Context(), l.adm, "p", "q"); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("it may not be read: %v", err)
	}
}

// The oldest record is the oldest of those that are not finished, over all partitions.
func TestOldest(t *testing.T) {
	l := newQueueLog(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	oldest := func() time.Duration {
		b, err := backlogOf(ctx, l.adm, "p", "q")
		if err != nil {
			t.Fatal(err)
		}
		logs := []backlog{b, {queue: "other"}}
		if err := date(ctx, l.kafka, logs); err != nil {
			t.Fatal(err)
		}
		if logs[0].oldest.IsZero() {
			return 0
		}
		return time.Since(logs[0].oldest).Round(time.Hour)
	}
	if got := oldest(); got != 0 {
		t.Errorf("nothing was ever written, and the oldest is of %s ago", got)
	}
	big := string(make([]byte, 10*glanceBytes)) // more than is asked for
	for p, ages := range [][]time.Duration{{9 * time.Hour, 3 * time.Hour}, {5 * time.Hour, 4 * time.Hour, 2 * time.Hour}, {time.Hour}} {
		for _, age := range ages {
			l.write(int32(p), age, big)
		}
	}
	for _, step := range []struct {
		partition int32
		at        int64
		want      time.Duration
	}{{0, 0, 9}, {0, 1, 5}, {1, 2, 3}, {0, 2, 2}, {1, 3, 1}, {2, 1, 0}} {
		l.commit(step.partition, step.at)
		if got := oldest(); got != step.want*time.Hour {
			t.Errorf("partition %d committed at %d: the oldest is of %s ago, want %dh", step.partition, step.at, got, step.want)
		}
	}
}

// What is left of a queue may be a transaction's marker and no record: that is not waited for.
func TestOldestOfNothingButMarkers(t *testing.T) {
	l := newQueueLog(t, 1)
	producer, err := kgo.NewClient(kgo.SeedBrokers(l.kafka.Brokers...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: names.Pending("q"), Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	l.commit(0, 1)
	b, err := backlogOf(t.Context(), l.adm, "p", "q")
	if err != nil || b.lag() != 1 {
		t.Fatalf("lag %d, %v", b.lag(), err)
	}
	logs, begun := []backlog{b}, time.Now()
	if err := date(t.Context(), l.kafka, logs); err != nil || !logs[0].oldest.IsZero() {
		t.Errorf("the oldest is of %s, %v", logs[0].oldest, err)
	}
	if took := time.Since(begun); took >= glance {
		t.Errorf("it took %s", took)
	}
}
