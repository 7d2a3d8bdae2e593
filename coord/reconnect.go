package coord

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Reconnect makes a client of etcd try a server that was away again after about 1 s at most. By default it would wait up to two
// minutes when the server was away for long, and its sessions would come back as late. It is for the DialOptions of the
// client's configuration.
//
// The connection has a method that resets its waiting; it is not used because it walks a map that others may change
// (grpc-go 1.83.2, pull request 9155 there).
func Reconnect() grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 2 * time.Second,
	})
}
