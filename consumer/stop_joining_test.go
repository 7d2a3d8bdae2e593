package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/retry"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap/zaptest"
)

// A node that is told to stop while it joins does not wait for members that let the rebalance wait.
func TestStopWhileJoining(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		s.neverRejoins(group, names.Pending("tasks"))
		cfg := s.config(consumer.NewMux())
		n := s.start(cfg)
		time.Sleep(20 * time.Second) // it joins by then, and is in no hurry
		began := time.Now()
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// Nor does its forwarder.
func TestForwarderStopsWhileJoining(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		s.neverRejoins(names.RetryGroup("tasktier"), names.RetryMinute("tasktier"), names.RetryHour("tasktier"))
		f, err := retry.New(retry.Config{Kafka: s.kafka(s.dialer), Fallback: "tasks", Node: "test", Log: zaptest.NewLogger(t)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // it joins by then, and is in no hurry
		defer cancel()
		began := time.Now()
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 35*time.Second {
			t.Errorf("it ended after %v", took)
		}
	})
}

// neverRejoins is a member of a group that joins once and leaves every later rebalance waiting for minutes.
func (s *stage) neverRejoins(group string, topics ...string) {
	s.t.Helper()
	cl := s.dial()
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType = group, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 300_000, 300_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky", Metadata: kgo.CooperativeStickyBalancer().JoinGroupMetadata(topics, nil, 0)}}
	for range 2 { // the first answer is the member's id
		resp, err := join.RequestWith(s.context(), cl)
		if err != nil {
			s.t.Fatal(err)
		}
		join.MemberID = resp.MemberID
		if resp.ErrorCode != 0 {
			continue
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = group, resp.MemberID, resp.Generation
		sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("cooperative-sticky")
		if resp, err := sync.RequestWith(s.context(), cl); err != nil || resp.ErrorCode != 0 {
			s.t.Fatal(resp, err)
		}
		return
	}
	s.t.Fatal("it is no member")
}
