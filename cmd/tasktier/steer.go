package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/tasktier/tasktier/coord/control"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
)

// etcd opens a client of the etcd in which the nodes meet, with the configuration that names it; the caller closes it.
func (c *cli) etcd(ctx context.Context) (configuration, *clientv3.Client, error) {
	cfg, err := c.load()
	if err != nil {
		return cfg, nil, err
	}
	if cfg.Etcd == nil {
		return cfg, nil, wrong("etcd is not configured, and only there nodes meet and are steered: add an etcd section (etcd.endpoints) to the configuration, of the nodes too")
	}
	client, err := openEtcd(ctx, cfg)
	return cfg, client, err
}

// asking does something with an etcd that is to answer soon.
func (c *cli) asking(ctx context.Context, f func(ctx context.Context, cfg configuration, client *clientv3.Client) error) error {
	cfg, client, err := c.etcd(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	bounded, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	return f(bounded, cfg, client)
}

// steering is asking for those who change what is said.
func (c *cli) steering(ctx context.Context, f func(ctx context.Context, cfg configuration, o control.Operator) error) error {
	return c.asking(ctx, func(ctx context.Context, cfg configuration, client *clientv3.Client) error {
		return f(ctx, cfg, control.Operator{Client: client, Prefix: cfg.Etcd.Prefix, Name: myself()})
	})
}

// etcdTrouble says what an error of etcd means to the user.
func etcdTrouble(ctx context.Context, cfg configuration, err error) error {
	if errors.Is(err, control.ErrNewer) {
		return err
	}
	if answer := (rpctypes.EtcdError{}); errors.As(err, &answer) && answer.Code() != codes.Unavailable && answer.Code() != codes.DeadlineExceeded {
		return fmt.Errorf("etcd at %s refuses: %w", strings.Join(cfg.Etcd.Endpoints, ", "), answer)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return etcdAway(context.WithoutCancel(ctx), cfg, errors.New("it did not answer in time"))
	}
	return etcdAway(ctx, cfg, err)
}

// steered prints what was said: an object for programs, a sentence for people.
func (c *cli) steered(row any, format string, args ...any) error {
	if c.json() {
		return c.object(row)
	}
	c.prose(format, args...)
	return nil
}

// warnIgnored names what operators have said that nobody obeys.
func (c *cli) warnIgnored(s control.State) {
	for _, k := range sorted(s.Ignored) {
		c.complain("Nobody obeys %s: %v.", printable(k), s.Ignored[k])
	}
}

// myself is who steers, for people.
func myself() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
