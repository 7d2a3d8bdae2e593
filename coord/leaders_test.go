package coord_test

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
)

func TestLeadersAreThoseOfAllDuties(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	a, b := join(t, prefix, etcd(t), named("a", time.Minute)), join(t, prefix, etcd(t), named("b", time.Minute))
	if leaders, err := coord.Leaders(limit(t), a.etcd, prefix); err != nil || len(leaders) > 0 {
		t.Errorf("nobody leads yet, but %v, %v", leaders, err)
	}
	stop := a.lead("upkeep", c.duty("a"))
	c.leads(t, slack, "a")
	b.lead("schedules.mail.bulk", c.duty("b"))
	c.leads(t, slack, "b")
	_, err := a.etcd.Put(limit(t), prefix+"/leaders/foreign", "not JSON")
	must(t, err)

	leaders, err := coord.Leaders(limit(t), a.etcd, prefix+"/")
	must(t, err)
	for duty, n := range map[string]*node{"upkeep": a, "schedules.mail.bulk": b} {
		one, ok, err := coord.ReadLeader(limit(t), a.etcd, prefix, duty)
		must(t, err)
		if got := leaders[duty]; !ok || got != one || got.Session != n.Lease().ID() || got.Term == 0 {
			t.Errorf("in %s leads %+v, or %+v", duty, got, one)
		}
	}
	if foreign, ok := leaders["foreign"]; len(leaders) != 3 || !ok || foreign.Node != "" {
		t.Errorf("leaders are %+v", leaders)
	}
	stop()
	if leaders, err := coord.Leaders(limit(t), a.etcd, prefix); err != nil || len(leaders) != 2 {
		t.Errorf("one has given up, and it is %+v, %v", leaders, err)
	}
}
