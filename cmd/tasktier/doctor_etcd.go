package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func examineEtcd(ctx context.Context, all config.Config) []diagnosis {
	cfg := all.Etcd
	if cfg == nil && all.Redis != nil {
		return []diagnosis{bad("etcd", "add an etcd section to the configuration, or leave redis out", "none configured: nodes refuse to keep claims whose owners nobody knows")}
	}
	if cfg == nil && len(all.Schedules) > 0 {
		return []diagnosis{bad("etcd", "add an etcd section to the configuration, or leave schedules out", "none configured: nodes refuse schedules that each of them would run")}
	}
	if cfg == nil {
		return []diagnosis{doubtful("etcd", "add an etcd section to the configuration", "none configured: nodes don't know of each other")}
	}
	const mend = "correct the etcd section of the configuration"
	// The client tries for as long as it may and then has forgotten why: a connection tells at once.
	for _, endpoint := range cfg.Endpoints {
		if err := dial(ctx, hostOf(endpoint)); err != nil {
			return []diagnosis{away("etcd", []string{endpoint}, rootCause(err))}
		}
	}
	client, err := tasktier.EtcdClient(*cfg)
	if err != nil {
		return []diagnosis{bad("etcd", mend, "%v", err)}
	}
	defer client.Close()
	var found []diagnosis
	for _, endpoint := range cfg.Endpoints {
		found = append(found, etcdMember(ctx, client, endpoint))
	}
	return append(found, etcdAlarms(ctx, client)...)
}

func dial(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func etcdMember(ctx context.Context, client *clientv3.Client, endpoint string) diagnosis {
	check := "etcd " + hostOf(endpoint)
	s, err := client.Status(ctx, endpoint)
	switch {
	case err != nil:
		return bad(check, "look at its log; is it etcd, and does the login fit?", "does not answer: %v", err)
	case s.Leader == 0:
		return bad(check, "start enough of its members", "version %s, but there is no leader", s.Version)
	}
	size := fmt.Sprintf("%.1f MiB", float64(s.DbSize)/(1<<20))
	if s.DbSizeQuota > 0 && s.DbSize > s.DbSizeQuota*8/10 {
		return doubtful(check, "compact and defragment it, or raise its quota", "version %s, the database has %s, over 80 %% of its quota", s.Version, size)
	}
	return ok(check, "answers, version %s, database %s", s.Version, size)
}

func etcdAlarms(ctx context.Context, client *clientv3.Client) []diagnosis {
	r, err := client.AlarmList(ctx)
	if err != nil {
		return []diagnosis{doubtful("etcd alarms", "grant this user what it needs to see them", "can't be listed: %v", err)}
	}
	var names []string
	for _, a := range r.Alarms {
		if a.Alarm != etcdserverpb.AlarmType_NONE {
			names = append(names, fmt.Sprintf("%s on member %x", a.Alarm, a.MemberID))
		}
	}
	if len(names) > 0 {
		return []diagnosis{bad("etcd alarms", "end their cause, then: etcdctl alarm disarm", "%s", strings.Join(names, ", "))}
	}
	return []diagnosis{ok("etcd alarms", "none")}
}

// hostOf is an endpoint without its scheme.
func hostOf(endpoint string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(endpoint, "http://"), "https://"), "/")
}

// rootCause is what the system said, without the layers that name the address again.
func rootCause(err error) error {
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		return call.Err
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}
