package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
)

// etcdGrace is how long Close lets requests finish.
const etcdGrace = 250 * time.Millisecond

type etcdServer struct {
	etcd *embed.Etcd
	grpc atomic.Pointer[grpc.Server]
	addr string
}

// startEtcd starts a cluster of one member. A volatile one does not wait for
// the disk.
func startEtcd(ctx context.Context, addr, dir string, volatile bool, log *zap.Logger) (*etcdServer, error) {
	resolved, err := resolve("etcd", addr)
	if err != nil {
		return nil, err
	}
	if resolved.Port != 0 {
		return startEtcdAt(ctx, resolved, dir, volatile, log)
	}
	// etcd must know its port before it listens, to tell clients. Another
	// process may take a free one in between, hence the repetition.
	for range 5 {
		free, err := listen("etcd", resolved.String())
		if err != nil {
			return nil, err
		}
		chosen := free.Addr().(*net.TCPAddr)
		_ = free.Close()
		server, err := startEtcdAt(ctx, chosen, dir, volatile, log)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return server, err
		}
	}
	return nil, errors.New("listen etcd: each free port was taken by another process at once")
}

func startEtcdAt(ctx context.Context, listenAddr *net.TCPAddr, dir string, volatile bool, log *zap.Logger) (*etcdServer, error) {
	const name = "embedded"
	addr := reachable(listenAddr)
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"} // no other member ever calls

	config := embed.NewConfig()
	config.Name = name
	config.Dir = dir
	config.ListenClientUrls = []url.URL{{Scheme: "http", Host: listenAddr.String()}}
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: addr}}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = name + "=" + peer.String()
	// A lone member makes itself leader after one election timeout, which
	// with the default of a second would be most of the start.
	config.TickMs = 10
	config.ElectionMs = 50
	config.UnsafeNoFsync = volatile
	// What etcd logs below an error is about its operation as a cluster.
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log.WithOptions(zap.IncreaseLevel(zapcore.ErrorLevel)))

	e := &etcdServer{addr: addr}
	config.ServiceRegister = func(server *grpc.Server) { e.grpc.Store(server) }

	etcd, err := embed.StartEtcd(config)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, listenError("etcd", listenAddr.String(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	e.etcd = etcd
	select {
	case <-etcd.Server.ReadyNotify():
		return e, nil
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		err = errors.New("it stopped at once")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.close()
	return nil, fmt.Errorf("start etcd: %w", err)
}

// close stops the server. Left to itself etcd would wait 5 s for watches and
// keepalives, which never end while their client lives.
func (e *etcdServer) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		e.etcd.Close()
	}()
	grace := time.NewTimer(etcdGrace)
	defer grace.Stop()
	select {
	case <-closed:
	case <-grace.C:
		if server := e.grpc.Load(); server != nil {
			server.Stop()
		}
		<-closed
	}
}
