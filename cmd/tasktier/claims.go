package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/task"
)

// claims opens the store of the nodes' claims, on a Redis that answers; the caller calls close. Without a redis section it
// is wrong usage to ask; an error for a Redis that does not answer is a [*tasktier.UnreachableError].
func (c *cli) claims(ctx context.Context, cfg configuration) (_ *claim.Store, closeRedis func(), err error) {
	if cfg.Redis == nil {
		return nil, nil, wrong("redis is not configured, and only there is kept what becomes of tasks: add a redis section (redis.addresses) to the configuration, of the nodes too")
	}
	store, client, err := openClaims(cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := tasktier.ReachRedis(ctx, client, *cfg.Redis); err != nil {
		client.Close()
		return nil, nil, redisTrouble(ctx, *cfg.Redis, err)
	}
	return store, func() { client.Close() }, nil
}

// openClaims is claims for those who can do without: no server is asked.
func openClaims(cfg configuration) (*claim.Store, redis.UniversalClient, error) {
	redis.SetLogger(silence{}) // what it would log is in the errors
	client, err := tasktier.RedisClient(*cfg.Redis)
	if err != nil {
		return nil, nil, fmt.Errorf("configure redis: %w", err)
	}
	return claim.NewStore(client, cfg.Kafka.Prefix), client, nil
}

// redisTrouble says what an error of Redis means to the user.
func redisTrouble(ctx context.Context, cfg config.Redis, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if answer := redis.Error(nil); errors.As(err, &answer) {
		for _, word := range []string{"NOAUTH", "WRONGPASS", "NOPERM"} {
			if strings.HasPrefix(answer.Error(), word) {
				return fmt.Errorf("redis refuses the login; correct redis.username and redis.password_file: %w", answer)
			}
		}
		return fmt.Errorf("redis at %s refuses: %w", strings.Join(cfg.Addresses, ", "), answer)
	}
	if away := (*tasktier.UnreachableError)(nil); errors.As(err, &away) {
		err = away.Err // its cause is said in fewer words
	}
	return &tasktier.UnreachableError{Server: "redis", Addresses: cfg.Addresses, Err: rootCause(err)}
}

// windowOf is how long the claims of the queue to work with are kept.
func (c *cli) windowOf(cfg configuration) claim.Window {
	q := c.queueSettings(cfg)
	return claim.Window{Minted: q.Window, Chosen: q.IDWindow, Longest: q.Horizon}
}

// identities are the tasks of the command line.
func (c *cli) identities(source string, ids []string) []claim.Identity {
	tasks := make([]claim.Identity, len(ids))
	for i, id := range ids {
		tasks[i] = claim.Identity{Queue: c.queue, Source: source, ID: id}
	}
	return tasks
}

// takesIDs is the rule for arguments that name one task or more.
func takesIDs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return misused(cmd, errors.New("ID is missing"))
	}
	return nil
}

// An announcement makes tasks known as pending before a node has them. It can do nothing: without Redis it does.
type announcement struct {
	announcer *claim.Announcer
	redis     redis.UniversalClient
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// announce begins one. Nothing of it may keep a task from being sent.
func (c *cli) announce(ctx context.Context, cfg configuration) *announcement {
	if cfg.Redis == nil {
		return nil
	}
	store, client, err := openClaims(cfg)
	if err != nil {
		return nil
	}
	a := &announcement{
		announcer: claim.NewAnnouncer(store, map[string]claim.Window{c.queue: c.windowOf(cfg)}), redis: client,
	}
	ctx, a.stop = context.WithCancel(ctx)
	a.running.Go(func() { a.announcer.Run(ctx) }) //nolint:errcheck // it returns nil
	return a
}

func (a *announcement) sent(t *task.Task) {
	if a != nil {
		a.announcer.Sent(t)
	}
}

// end waits for what is not written yet, for up to a second.
func (a *announcement) end() {
	if a != nil {
		a.stop()
		a.running.Wait()
		a.redis.Close()
	}
}
