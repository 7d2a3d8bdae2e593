package storm

import (
	"context"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/test/nemesis"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Spans of faults. Short ones pass within all patience, long ones outlast a lease.
var (
	short = nemesis.Between(time.Second, 4*time.Second)
	long  = nemesis.Between(8*time.Second, 14*time.Second)
)

// serverFaults are those that any server can have.
func serverFaults(v *nemesis.Victim) []nemesis.Fault {
	return []nemesis.Fault{nemesis.Killed(v, short), nemesis.Killed(v, long), nemesis.Paused(v, short), nemesis.Paused(v, long), nemesis.Stopped(v, short)}
}

func singleFaults(kafka *testenv.KafkaBroker, redis *testenv.RedisServer, etcd *testenv.EtcdServer) []nemesis.Fault {
	r := &nemesis.Victim{Name: "redis", Class: nemesis.Redis, Process: redis}
	faults := serverFaults(&nemesis.Victim{Name: "kafka", Class: nemesis.Kafka, Process: kafka})
	faults = append(faults, serverFaults(r)...)
	faults = append(faults, serverFaults(&nemesis.Victim{Name: "etcd", Class: nemesis.Etcd, Process: etcd})...)
	return append(faults, nemesis.Killed(r, nemesis.Between(25*time.Second, 30*time.Second)), nemesis.Emptied(r, redis, short))
}

func clusterFaults(kafka *testenv.KafkaCluster, redis *testenv.RedisServers, etcd *testenv.EtcdCluster) []nemesis.Fault {
	var faults []nemesis.Fault
	var brokers, members []*nemesis.Victim
	for i, b := range kafka.Brokers {
		v := &nemesis.Victim{Name: fmt.Sprintf("kafka-%d", i+1), Class: nemesis.Kafka, Process: b}
		brokers = append(brokers, v)
		faults = append(faults, serverFaults(v)...)
	}
	for i := range brokers {
		// Partitions have two replicas to write to, at least: they wait.
		faults = append(faults, twoOf("kafka", brokers, i))
	}
	for i, n := range redis.Nodes {
		v := &nemesis.Victim{Name: fmt.Sprintf("redis-%d", i+1), Class: nemesis.Redis, Process: n}
		faults = append(faults, nemesis.FailedOver(v, redis, false, short), nemesis.FailedOver(v, redis, false, long), nemesis.FailedOver(v, redis, true, long))
	}
	for i, m := range etcd.Members {
		v := &nemesis.Victim{Name: fmt.Sprintf("etcd-%d", i+1), Class: nemesis.Etcd, Process: m}
		members = append(members, v)
		faults = append(faults, nemesis.Killed(v, short), nemesis.Paused(v, long))
	}
	leader := nemesis.EtcdLeader(etcd, members)
	return append(faults, nemesis.RoleKilled("etcd leader", nemesis.Etcd, leader, long), nemesis.RolePaused("etcd leader", nemesis.Etcd, leader, long),
		twoOf("etcd", members, 0))
}

// twoOf kills two of three servers at once.
func twoOf(name string, servers []*nemesis.Victim, first int) nemesis.Fault {
	return nemesis.Together("two killed", name, short, nemesis.Killed(servers[first], short), nemesis.Killed(servers[(first+1)%len(servers)], short))
}

// nodeFaults are those of the crew.
func nodeFaults(nodes []*nemesis.Victim, replayer *nemesis.Victim, leader nemesis.Role) []nemesis.Fault {
	var faults []nemesis.Fault
	for _, v := range nodes {
		faults = append(faults, nemesis.Killed(v, short), nemesis.Killed(v, short), nemesis.Killed(v, long),
			nemesis.Paused(v, short), nemesis.Paused(v, long), nemesis.Stopped(v, short))
	}
	return append(faults, nemesis.Killed(replayer, short), nemesis.Killed(replayer, short),
		nemesis.RoleKilled("leader", nemesis.Node, leader, short), nemesis.RolePaused("leader", nemesis.Node, leader, long))
}

// networkFaults are those of the ways between nodes and servers.
func networkFaults(routes []*nemesis.Route) []nemesis.Fault {
	var faults []nemesis.Fault
	for _, r := range routes {
		faults = append(faults, r.Cut(short), r.Cut(long), r.Hang(long), r.LoseReplies(short),
			r.Delay(150*time.Millisecond, 100*time.Millisecond, long), r.Throttle(20_000, long))
	}
	return faults
}

// clockFaults are those of the nodes whose clocks can be wrong.
func clockFaults(nodes []*nemesis.Victim) []nemesis.Fault {
	var faults []nemesis.Fault
	for _, v := range nodes {
		clock := v.Process.(*member).clock
		if clock == nil {
			continue
		}
		for _, ahead := range []time.Duration{3 * time.Second, -3 * time.Second, 20 * time.Second} {
			faults = append(faults, clock.Stepped(v.Name, ahead, long))
		}
	}
	return faults
}

// leading is the role of the node that leads in some duty.
func leading(etcd *clientv3.Client, prefix string, nodes []*nemesis.Victim) nemesis.Role {
	return func(ctx context.Context) (*nemesis.Victim, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		leaders, err := coord.Leaders(ctx, etcd, prefix)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", nemesis.ErrBusy, err)
		}
		for _, l := range leaders {
			for _, v := range nodes {
				if v.Process.(*member).present() == l.Node {
					return v, nil
				}
			}
		}
		return nil, nemesis.ErrBusy
	}
}

// allAtOnce bounds a plan. Two of Kafka's three brokers, or of etcd's members, may be away; what that stops goes on later.
func allAtOnce(longest time.Duration) nemesis.Limits {
	return nemesis.Limits{
		AtOnce: 4,
		PerClass: map[nemesis.Class]int{
			nemesis.Node: 2, nemesis.Kafka: 1, nemesis.Redis: 1, nemesis.Etcd: 1, nemesis.Network: 2, nemesis.ClockClass: 1,
		},
		Spread: 4 * time.Second, Calm: nemesis.Between(time.Second, 4*time.Second), Longest: longest,
	}
}
