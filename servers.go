package tasktier

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/coord"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// RedisClient opens the client that the configuration describes, for the server or the cluster; it connects at the first
// call. It repeats nothing: those who call know what may be repeated.
func RedisClient(cfg config.Redis) (redis.UniversalClient, error) {
	secure, err := cfg.TLS.Config()
	if err != nil {
		return nil, err
	}
	password, err := secret(cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	const patience = 3 * time.Second // to connect, and for one answer
	if cfg.Cluster {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: cfg.Addresses, Username: cfg.Username, Password: password, TLSConfig: secure, MaxRedirects: 3,
			DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, ContextTimeoutEnabled: true,
		}), nil
	}
	return redis.NewClient(&redis.Options{
		Addr: cfg.Addresses[0], Username: cfg.Username, Password: password, TLSConfig: secure, MaxRetries: -1,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, ContextTimeoutEnabled: true,
	}), nil
}

// EtcdClient opens the client that the configuration describes; it connects in the background.
func EtcdClient(cfg config.Etcd) (*clientv3.Client, error) {
	secure, err := cfg.TLS.Config()
	if err != nil {
		return nil, err
	}
	password, err := secret(cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, Username: cfg.Username, Password: password, TLS: secure, Logger: zap.NewNop(),
		DialKeepAliveTime: 3 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
		DialOptions: []grpc.DialOption{coord.Reconnect()},
	})
	if err != nil {
		return nil, fmt.Errorf("configure etcd: %w", err)
	}
	return client, nil
}

// secret reads a file with a password; a newline at its end is not part of it.
func secret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// ReachRedis says whether Redis answers within 10 s: nil or an [*UnreachableError].
func ReachRedis(ctx context.Context, client redis.UniversalClient, cfg config.Redis) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return &UnreachableError{Server: "redis", Addresses: cfg.Addresses, Err: err}
	}
	return nil
}
