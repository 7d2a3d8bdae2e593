package testenv

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/version"
)

// EtcdServer is one etcd process, a cluster of one or a member of an
// [EtcdCluster]. What it acknowledged survives a Kill.
type EtcdServer struct {
	Server
	endpoint string
	ports    ports
}

// Endpoint is the server's client address, host:port.
func (e *EtcdServer) Endpoint() string { return e.endpoint }

// Endpoints is the same as a list.
func (e *EtcdServer) Endpoints() []string { return []string{e.endpoint} }

// newEtcd prepares a server in dir; Start starts it. settings are command line
// arguments of etcd, over the defaults.
func newEtcd(dir string, settings []string) (*EtcdServer, error) {
	ports, err := reservePorts(2)
	if err != nil {
		return nil, err
	}
	return newEtcdMember(dir, "etcd", ports, append([]string{
		"--initial-cluster", "etcd=" + peerURL(ports),
		// A member that is alone is elected at the first tick that it counts;
		// short ticks make that soon and allow leases of one second.
		"--heartbeat-interval", "20", "--election-timeout", "200",
	}, settings...))
}

// newEtcdMember prepares a server with a name that is its own in dir. The ports, of clients and
// of peers, are its own from now on.
func newEtcdMember(dir, name string, ports ports, settings []string) (*EtcdServer, error) {
	binary, err := installEtcd()
	if err != nil {
		ports.release()
		return nil, err
	}
	e := &EtcdServer{endpoint: ports[0].addr(), ports: ports}
	e.name, e.dir = name, filepath.Join(dir, name)
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		ports.release()
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	client, peer := "http://"+ports[0].addr(), peerURL(ports)
	args := append([]string{
		"--name", name, "--data-dir", e.DataDir(),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		// Left to the operating system, which survives the process.
		"--unsafe-no-fsync",
	}, settings...)
	e.command = func() *exec.Cmd { return exec.Command(binary, args...) }
	e.ready = func(ctx context.Context, _ []byte) error { return etcdHealth(ctx, client) }
	return e, nil
}

func peerURL(p ports) string { return "http://" + p[1].addr() }

func (e *EtcdServer) close() error {
	defer e.ports.release()
	return e.Kill()
}

// installEtcd builds etcd from its module.
func installEtcd() (string, error) {
	const program = "github.com/tasktier/tasktier/internal/testenv/etcdserver"
	dir, err := cached("etcd-"+version.Version, func(dir string) error {
		announce("building etcd %s", version.Version)
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "etcd"), program)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w:\n%s", program, err, out)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("install etcd: %w", err)
	}
	return filepath.Join(dir, "etcd"), nil
}

func etcdHealth(ctx context.Context, url string) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it says %s", strings.ToLower(answer.Status))
	}
	return nil
}
