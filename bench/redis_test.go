package bench

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

// redisUse is what clients have cost the shared Redis: how many scripts they had it run, the commands of which are not
// calls, and how much processor time it took, which does not depend on what else the machine does as time on a clock does.
func redisUse(b *testing.B) (calls int, cpu time.Duration) {
	b.Helper()
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(b)})
	defer client.Close()
	info, err := client.Info(b.Context(), "commandstats", "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "cmdstat_eval", "cmdstat_evalsha", "cmdstat_fcall":
			var n int
			if _, err := fmt.Sscanf(value, "calls=%d,", &n); err != nil {
				b.Fatalf("read %q: %v", line, err)
			}
			calls += n
		case "used_cpu_sys", "used_cpu_user":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatalf("read %q: %v", line, err)
			}
			cpu += time.Duration(seconds * float64(time.Second))
		}
	}
	return calls, cpu
}

// emptyRedis gives each side the same Redis to begin with: empty, and not about to rewrite its log, which it does when 64 MB
// have come together, once in a while where it runs for long and always here, and hits whoever's turn it is.
func emptyRedis(b *testing.B) {
	b.Helper()
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(b)})
	defer client.Close()
	if err := client.ConfigSet(b.Context(), "auto-aof-rewrite-percentage", "0").Err(); err != nil {
		b.Fatal(err)
	}
	if err := client.FlushAll(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
}
