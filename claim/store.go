package claim

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Store is the claims of an installation in Redis: one server, or a cluster. It is safe for concurrent use and has
// nothing to close; the client is the caller's.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	cluster bool
	calls   atomic.Uint64
}

// NewStore uses client, whose own retries should be off (MaxRetries -1): calls are repeated here, where it is known that
// repeating them is safe. It should obey deadlines (ContextTimeoutEnabled), or a call that hangs takes the client's timeouts. prefix begins all keys and channels; installations that share a Redis need one each. "" means
// "tasktier".
func NewStore(client redis.UniversalClient, prefix string) *Store {
	if prefix == "" {
		prefix = "tasktier"
	}
	_, cluster := client.(*redis.ClusterClient)
	return &Store{client: client, prefix: prefix, cluster: cluster}
}

// Calls counts the script calls so far, of which each takes a batch.
func (s *Store) Calls() uint64 { return s.calls.Load() }

//go:embed begin.lua
var beginSource string

//go:embed swap.lua
var swapSource string

var (
	beginScript = redis.NewScript(beginSource)
	swapScript  = redis.NewScript(swapSource)
)

// An op is a compare-and-set of one claim, on its way to Redis and back.
type op struct {
	key     Key
	name    string        // of the claim in Redis
	expect  string        // what must be there, "" for nothing; not looked at by begin, which has a rule of its own
	write   string        // what is to be there
	keep    time.Duration // until it expires; or asItIs
	beside  bool          // another operation on the same claim may be under way
	field   string        // of the counter that it counts for; "" for none
	details string        // to be written beside it; "" for none

	applied bool   // the claim is now as written
	found   string // what was there instead; "" for nothing

	hold     *Hold            // whose operation it is; nil for others
	answered func(*op, error) // an error says that the call was not answered, and won't be tried again
}

const (
	// maxBatch bounds a call: Redis serves nobody else meanwhile.
	maxBatch = 500
	// countersKept is how long the counters of a minute are kept.
	countersKept = 25 * time.Hour
)

// begin calls the script that begins turns.
func (s *Store) begin(ctx context.Context, ops []*op) error {
	return s.call(ctx, beginScript, ops, func(ops []*op) ([]string, []any) {
		keys := make([]string, len(ops))
		args := make([]any, 2, 16)
		runs := 0
		for i := 0; i < len(ops); runs++ {
			first, from := ops[i], i
			for ; i < len(ops) && ops[i].write == first.write; i++ {
				keys[i] = ops[i].name
			}
			args = append(args, first.write, i-from)
		}
		args[0], args[1] = milliseconds(ops[0].keep), runs
		return keys, args
	})
}

// swap calls the script that replaces claims.
func (s *Store) swap(ctx context.Context, ops []*op) error {
	minute := time.Now().Unix() / 60
	return s.call(ctx, swapScript, ops, func(ops []*op) ([]string, []any) {
		keys := make([]string, len(ops), len(ops)+1)
		args := make([]any, 4, 64)
		twice := 0
		runs := 0
		for i := 0; i < len(ops); runs++ {
			first, from := ops[i], i
			for ; i < len(ops) && ops[i].like(first); i++ {
				keys[i] = ops[i].name
				if ops[i].beside {
					twice = 1
				}
			}
			args = append(args, first.expect, first.write, milliseconds(first.keep), first.field, i-from)
		}
		args[0], args[1], args[2], args[3] = len(ops), int(countersKept/time.Second), twice, runs
		keys = append(keys, s.countersKey(ops[0].key.bucket(), minute))
		for i, o := range ops {
			if o.details != "" {
				keys = append(keys, o.name+detailsSuffix)
				args = append(args, i+1, o.details)
			}
		}
		return keys, args
	})
}

// like says whether two operations differ in nothing but the task, and the details.
func (o *op) like(p *op) bool {
	return o.expect == p.expect && o.write == p.write && o.keep == p.keep && o.field == p.field
}

// asItIs as an operation's keep leaves the expiry that the claim has, which is cheaper than setting another. The operation
// has no details then, and expects a text.
const asItIs time.Duration = -1

func milliseconds(d time.Duration) string {
	if d == asItIs {
		return ""
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

// countersKey is the hash that counts outcomes in a minute of Unix time.
func (s *Store) countersKey(bucket int, minute int64) string {
	b := append(appendTag(nil, s.prefix, bucket), "n:"...)
	return string(strconv.AppendInt(b, minute, 10))
}

// call runs a script over the operations: in one call on a server, in one per bucket on a cluster. Any error means that
// some may have been applied and others not; trying again is safe.
func (s *Store) call(ctx context.Context, script *redis.Script, ops []*op, render func([]*op) ([]string, []any)) error {
	if !s.cluster {
		s.calls.Add(1)
		keys, args := render(ops)
		answer, err := script.Run(ctx, s.client, keys, args...).Result()
		if err != nil {
			return fmt.Errorf("ask redis: %w", err)
		}
		return read(answer, ops)
	}
	return s.callCluster(ctx, script, ops, render)
}

func (s *Store) callCluster(ctx context.Context, script *redis.Script, ops []*op, render func([]*op) ([]string, []any)) error {
	var of [buckets][]*op
	for _, o := range ops {
		b := o.key.bucket()
		of[b] = append(of[b], o)
	}
	type group struct {
		ops    []*op
		answer *redis.Cmd
	}
	todo := of[:]
	// A server that does not know the script yet is given it in full, the second time around.
	for _, full := range []bool{false, true} {
		var groups []group
		pipe := s.client.Pipeline()
		for _, ops := range todo {
			if len(ops) == 0 {
				continue
			}
			s.calls.Add(1)
			keys, args := render(ops)
			g := group{ops: ops}
			if full {
				g.answer = script.Eval(ctx, pipe, keys, args...)
			} else {
				g.answer = script.EvalSha(ctx, pipe, keys, args...)
			}
			groups = append(groups, g)
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		todo = nil
		var failed error
		for _, g := range groups {
			answer, err := g.answer.Result()
			switch {
			case err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") && !full:
				todo = append(todo, g.ops)
			case err != nil:
				failed = errors.Join(failed, fmt.Errorf("ask redis: %w", err))
			default:
				failed = errors.Join(failed, read(answer, g.ops))
			}
		}
		if failed != nil {
			return failed
		}
		if len(todo) == 0 {
			return nil
		}
	}
	return errors.New("ask redis: it does not keep the scripts that it is given")
}

// read takes a script's answer apart: index, text, of those that were left as they are.
func read(answer any, ops []*op) error {
	for _, o := range ops {
		o.applied, o.found = true, ""
	}
	left, ok := answer.([]any)
	if !ok || len(left)%2 != 0 {
		return fmt.Errorf("ask redis: it answered %T, not a list of pairs", answer)
	}
	for i := 0; i < len(left); i += 2 {
		index, ok1 := left[i].(int64)
		text, ok2 := left[i+1].(string)
		if !ok1 || !ok2 || index < 1 || int(index) > len(ops) {
			return fmt.Errorf("ask redis: unexpected answer %v", left[i:i+2])
		}
		o := ops[index-1]
		o.applied, o.found = false, text
	}
	return nil
}

// ping says whether Redis answers; of a cluster, all of it.
func (s *Store) ping(ctx context.Context) error {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			return master.Ping(ctx).Err()
		})
	}
	return s.client.Ping(ctx).Err()
}

// get reads one claim as it is; "" if there is none.
func (s *Store) get(ctx context.Context, key Key) (string, error) {
	text, err := s.client.Get(ctx, key.text(s.prefix)).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ask redis: %w", err)
	}
	return text, nil
}

// field names a counter: queue, type and what became of the task, each without the separator.
func counterField(queue, typ string, what string) string {
	return queue + "\x00" + strings.ReplaceAll(typ, "\x00", "") + "\x00" + what
}
