package topic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kfake"
)

// TestTiers: the retry tiers have a partition for each slot, and room for a large task with its errors.
func TestTiers(t *testing.T) {
	_, adm := fake(t, 1)
	specs := topic.Tiers("mine", 1000, 0)
	ensured(t, adm, specs)
	plan := inspect(t, adm, specs)
	wantActions(t, plan, topic.OK, topic.OK)
	for i, want := range []tier.Tier{tier.Minute, tier.Hour} {
		if got := plan.Topics[i]; got.Partitions != want.Partitions || got.Spec.Group != "mine.retry" {
			t.Errorf("got %+v, want %d partitions", got, want.Partitions)
		}
	}
}

// A tier with fewer partitions than slots would refuse tasks: a node does not start on it.
func TestTierWithTooFewPartitions(t *testing.T) {
	_, adm := fake(t, 1, kfake.SeedTopics(10, "mine.retry.minute"))
	specs := topic.Tiers("mine", 1000, 0)
	var unsafe *topic.UnsafeError
	err := topic.Ensure(t.Context(), adm, specs, true)
	if !errors.As(err, &unsafe) || !strings.Contains(err.Error(), "partitions") {
		t.Fatalf("got %v, want *UnsafeError about the partitions", err)
	}
	if err := inspect(t, adm, specs).Apply(t.Context(), adm, false); err != nil {
		t.Fatal(err)
	}
	wantActions(t, inspect(t, adm, specs), topic.OK, topic.OK)
}
