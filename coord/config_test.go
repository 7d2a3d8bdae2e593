package coord_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestConfigThatCannotBe(t *testing.T) {
	client := clientv3.NewCtxClient(t.Context())
	for _, tt := range []struct {
		name  string
		cfg   coord.Config
		wants string
	}{
		{"no client", coord.Config{}, "no etcd client"},
		{"short TTL", coord.Config{Client: client, TTL: time.Second}, "at least 2s"},
		{"broken TTL", coord.Config{Client: client, TTL: 2500 * time.Millisecond}, "whole seconds"},
		{"negative TTL", coord.Config{Client: client, TTL: -10 * time.Second}, "at least 2s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := coord.New(tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.wants) {
				t.Errorf("got %v, want an error with %q", err, tt.wants)
			}
		})
	}
}

func TestEntryIsFilledIn(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), etcd(t), nil)
	n.registered()
	members, err := coord.Members(limit(t), n.etcd, n.prefix)
	must(t, err)
	host, err := os.Hostname()
	must(t, err)
	if len(members) != 1 || members[0].Host != host || members[0].Name != host || members[0].PID != os.Getpid() || time.Since(members[0].Started).Abs() > time.Minute {
		t.Errorf("the registry has %+v", members)
	}
}
