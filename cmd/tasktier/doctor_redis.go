package main

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
)

// maxSkew is how far the clocks of this machine and a server may be apart before it is worth a warning.
const maxSkew = time.Second

func examineRedis(ctx context.Context, cfg *config.Redis) []diagnosis {
	if cfg == nil {
		return []diagnosis{doubtful("redis", "add a redis section to the configuration", "none configured: tasks are done at least once")}
	}
	redis.SetLogger(silence{}) // what it would log is in the errors
	client, err := tasktier.RedisClient(*cfg)
	if err != nil {
		return []diagnosis{bad("redis", "correct the redis section of the configuration", "%v", err)}
	}
	defer client.Close()
	before := time.Now()
	clock, err := client.Time(ctx).Result()
	if err != nil {
		return []diagnosis{redisAway(*cfg, err)}
	}
	// The server read its clock at some moment of the call: half of it is the margin.
	took := time.Since(before)
	skew := clock.Sub(before.Add(took / 2)).Abs()

	found := []diagnosis{ok("redis", "answers"), evictionOf(ctx, client)}
	if version := infoOf(ctx, client, "server", "redis_version"); version != "" {
		found[0].Message += ", version " + version
	}
	if skew-took/2 > maxSkew {
		return append(found, doubtful("clock", "synchronise the clocks (NTP)", "this machine and redis are %v apart", skew.Round(time.Millisecond)))
	}
	return append(found, ok("clock", "within %v of redis", maxSkew))
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// redisAway tells a server that refuses this user from one that does not answer.
func redisAway(cfg config.Redis, err error) diagnosis {
	for _, word := range []string{"NOAUTH", "WRONGPASS", "NOPERM"} {
		if strings.HasPrefix(err.Error(), word) {
			return bad("redis", "correct redis.username and redis.password_file", "refuses the login: %v", err)
		}
	}
	return away("redis", cfg.Addresses, rootCause(err))
}

// infoOf reads a field of a section of INFO; empty where the server does not tell.
func infoOf(ctx context.Context, client redis.UniversalClient, section, field string) string {
	info, err := client.Info(ctx, section).Result()
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(info, "\n") {
		if v, is := strings.CutPrefix(strings.TrimSpace(line), field+":"); is {
			return v
		}
	}
	return ""
}

// evictionOf checks that no claim is ever evicted. INFO is asked because hosted servers refuse CONFIG.
func evictionOf(ctx context.Context, client redis.UniversalClient) diagnosis {
	const check, mend = "redis eviction", "set maxmemory-policy noeviction"
	switch policy := infoOf(ctx, client, "memory", "maxmemory_policy"); policy {
	case "noeviction":
		return ok(check, "noeviction")
	case "":
		return doubtful(check, "make sure that its maxmemory-policy is noeviction", "this server does not tell its policy")
	default:
		return bad(check, mend, "the policy is %s: claims would be forgotten, and tasks done again", policy)
	}
}
