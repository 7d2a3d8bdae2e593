package inmemory

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// Redis is a miniredis that lives as long as a test. It runs scripts as Redis does: compiled once, in an interpreter that is
// there already. (miniredis builds an interpreter for every call, which took half of the time of a simulation.)
type Redis struct {
	*miniredis.Miniredis
	dialing sync.Mutex // Miniredis.Server, which Dial calls, reads what Close writes, without a lock
	t       *testing.T
	scripts sync.Mutex // one runs at a time, and none during a flush
	loaded  map[string]string
	refusal atomic.Pointer[string]
}

// NewRedis starts a Redis whose keys expire by the clock.
func NewRedis(t *testing.T) *Redis {
	t.Helper()
	r := &Redis{Miniredis: miniredis.NewMiniRedis(), t: t, loaded: make(map[string]string)}
	r.ClockTTL(true)
	t.Cleanup(func() {
		r.Close()
		time.Sleep(time.Second) //nolint:forbidigo // go-redis sleeps after an error before it checks whether it was closed
	})
	return r
}

// Dial connects. There is a server only once somebody has.
func (r *Redis) Dial() (net.Conn, error) {
	r.dialing.Lock()
	defer r.dialing.Unlock()
	conn, err := r.Miniredis.Dial()
	if s := r.Server(); s != nil {
		s.SetPreHook(r.hook)
	}
	return conn, err
}

// Close ends the server. A client may still be dialing.
func (r *Redis) Close() {
	r.dialing.Lock()
	defer r.dialing.Unlock()
	r.Miniredis.Close()
}

// DialContext is a [bubble.Dialer]; it connects whatever the address is.
func (r *Redis) DialContext(context.Context, string, string) (net.Conn, error) { return r.Dial() }

// Client returns a client that connects with dial and lives as long as the test.
func (r *Redis) Client(dial bubble.Dialer) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:0", // go-redis looks a name up, which is impossible in a bubble
		Dialer: dial, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	r.t.Cleanup(func() { client.Close() })
	return client
}

// SetError has every call answered with an error, until it is set to "". (Miniredis's own is a hook too, which the next
// connection would replace.)
func (r *Redis) SetError(text string) { r.refusal.Store(&text) }

// Flush removes all keys, and never while a script runs.
func (r *Redis) Flush() {
	r.scripts.Lock()
	defer r.scripts.Unlock()
	r.FlushAll()
}

// noLog drops what go-redis logs of connections that are cut.
type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(noLog{}) }
