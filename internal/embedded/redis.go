package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"
)

const (
	// redisTick is how exact expiry is while ageing is cheap.
	redisTick = 20 * time.Millisecond
	// redisTickMax is how exact it stays however many keys there are.
	redisTickMax = 5 * time.Second
	// redisRest is how much longer than ageing took the pause to the next is.
	redisRest = 20
)

type redisServer struct {
	redis *miniredis.Miniredis
	addr  string
	file  string // of the snapshot, or empty
	log   *zap.Logger

	stopAgeing context.CancelFunc
	aged       chan struct{} // closed when ageing has ended
}

// startRedis starts a server. file is its snapshot, or empty to keep nothing.
func startRedis(addr, file string, log *zap.Logger) (*redisServer, error) {
	resolved, err := resolve("redis", addr)
	if err != nil {
		return nil, err
	}
	r := &redisServer{redis: miniredis.NewMiniRedis(), file: file, log: log, aged: make(chan struct{})}
	if file != "" {
		if err := loadSnapshot(r.redis, file); err != nil {
			return nil, err
		}
	}
	if err := r.redis.StartAddr(resolved.String()); err != nil {
		return nil, listenError("redis", resolved.String(), err)
	}
	if file != "" {
		// From here on clients write, so it is the past: see the package
		// documentation.
		if err := removeSnapshot(file); err != nil {
			r.redis.Close()
			return nil, err
		}
	}
	listening := r.redis.Server().Addr()
	r.addr = reachable(listening)

	var ctx context.Context
	ctx, r.stopAgeing = context.WithCancel(context.Background())
	go r.age(ctx)
	return r, nil
}

// age makes time pass for the keys: miniredis expires none by itself. (It has a
// clock of its own to switch on, but that ages all keys at every command, which
// takes 50 ms at 100,000 keys.)
func (r *redisServer) age(ctx context.Context) {
	defer close(r.aged)
	last := time.Now()
	timer := time.NewTimer(redisTick)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		r.redis.FastForward(now.Sub(last))
		last = now
		timer.Reset(min(max(redisTick, redisRest*time.Since(now)), redisTickMax))
	}
}

func (r *redisServer) close() error {
	r.redis.Close() // keeps its content
	r.stopAgeing()
	<-r.aged
	if r.file == "" {
		return nil
	}
	skipped, err := saveSnapshot(r.redis, r.file)
	if err != nil {
		return fmt.Errorf("save redis content: %w", err)
	}
	if skipped > 0 {
		r.log.Warn("keys of unsupported types were not saved", zap.Int("keys", skipped))
	}
	return nil
}
