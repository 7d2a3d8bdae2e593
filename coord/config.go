package coord

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	defaultTTL = 10 * time.Second
	minTTL     = 2 * time.Second // etcd's own, with its default election timeout
)

// Config says where a membership is kept. Zero values mean the default that stands with the field.
type Config struct {
	// Client reaches etcd. It stays its owner's, who closes it after Run has returned. Make it with [Reconnect] among its
	// DialOptions, and give it a DialKeepAliveTime and a DialKeepAliveTimeout of a few seconds: without, a connection whose
	// other end vanished is believed in for a quarter of an hour, and a watch for ever. Required.
	Client *clientv3.Client
	// Prefix begins all keys. Default "/tasktier".
	Prefix string
	// TTL is how long etcd waits for a sign of life before others see this process gone. Whole seconds, at least 2 s.
	// Default 10 s.
	TTL time.Duration
	// Entry is what the registry says of this process.
	Entry Entry
	// Healthy says whether the process makes progress; an error says what doesn't. It is asked before each keepalive and
	// before a session is opened: one that fails for longer than the trust lasts ends the session. It must not block, and
	// must not take it for a fault that there is no session. Default: always.
	Healthy func() error
	// Gone, if not nil, is told of sessions whose key vanished, this process's own included, one after the other. It is a
	// hint that there may be something to take over and can miss some: Alive is the truth. It must not block.
	Gone func(session string)
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// An Entry is what the registry says of a process. It is written once per session: numbers that move don't belong here.
type Entry struct {
	Name        string    `json:"name"`        // of the node. Default: Host
	Host        string    `json:"host"`        // default: this host's name
	PID         int       `json:"pid"`         // default: this process's
	Version     string    `json:"version"`     // of tasktier
	ClaimFormat int       `json:"claimFormat"` // version of the claims that it writes
	Queues      []string  `json:"queues"`      // that it consumes
	Types       []string  `json:"types"`       // that it has handlers for
	Concurrency int       `json:"concurrency"` // handlers that it runs at once
	Started     time.Time `json:"started"`     // by its own clock; for people. Default: now
}

// withDefaults fills in defaults and refuses what can't be.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Client == nil {
		return cfg, errors.New("configure membership: no etcd client")
	}
	orElse(&cfg.TTL, defaultTTL)
	orElse(&cfg.Log, zap.NewNop())
	cfg.Prefix = names.EtcdPrefix(cfg.Prefix)
	if cfg.Healthy == nil {
		cfg.Healthy = func() error { return nil }
	}
	if cfg.Gone == nil {
		cfg.Gone = func(string) {}
	}
	if cfg.TTL < minTTL || cfg.TTL%time.Second != 0 {
		return cfg, fmt.Errorf("configure membership: a TTL of %s: take whole seconds, at least %s", cfg.TTL, minTTL)
	}
	e := &cfg.Entry
	if e.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			return cfg, fmt.Errorf("configure membership: find the host's name, which the entry lacks: %w", err)
		}
		e.Host = host
	}
	orElse(&e.Name, e.Host)
	orElse(&e.PID, os.Getpid())
	if e.Started.IsZero() {
		e.Started = time.Now()
	}
	return cfg, nil
}

func (e Entry) encode() (string, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encode registry entry: %w", err)
	}
	return string(text), nil
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
