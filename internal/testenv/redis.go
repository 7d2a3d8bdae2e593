package testenv

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RedisServer is one redis-server process. It logs every write before it
// answers, so what it acknowledged survives a Kill.
type RedisServer struct {
	Server
	addr  string
	ports ports
}

// Addr is the server's address.
func (r *RedisServer) Addr() string { return r.addr }

// newRedis prepares a server in dir; Start starts it. settings are command line
// arguments such as "--maxmemory", "10mb", over the defaults.
func newRedis(dir string, settings []string) (*RedisServer, error) {
	ports, err := reservePorts(1)
	if err != nil {
		return nil, err
	}
	return newRedisServer(dir, "redis", ports, settings)
}

// newRedisServer prepares a server of that name, which listens on the first of
// ports. They are the server's from here on, also when it fails.
func newRedisServer(dir, name string, ports ports, settings []string) (*RedisServer, error) {
	r := &RedisServer{addr: ports[0].addr(), ports: ports}
	r.name, r.dir = name, filepath.Join(dir, name)
	binary, err := tool("redis-server")
	if err == nil {
		err = os.MkdirAll(r.DataDir(), 0o755)
	}
	if err != nil {
		ports.release()
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	args := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(ports[0].number),
		"--dir", r.DataDir(), "--daemonize", "no",
		// The log goes to the operating system at each write, never to the
		// disk: that survives the process, and is fast.
		"--save", "", "--appendonly", "yes", "--appendfsync", "no",
		"--maxmemory-policy", "noeviction",
	}, settings...)
	r.command = func() *exec.Cmd { return exec.Command(binary, args...) }
	r.ready = func(ctx context.Context, _ []byte) error { return pingRedis(ctx, r.addr) }
	return r, nil
}

func (r *RedisServer) close() error {
	defer r.ports.release()
	return r.Kill()
}

// pingRedis fails also while the server still loads its data.
func pingRedis(ctx context.Context, addr string) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "+PONG" {
		return fmt.Errorf("it answers %s", answer)
	}
	return nil
}
