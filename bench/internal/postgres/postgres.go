// Package postgres runs a PostgreSQL server of Debian's package for the benchmarks of peers that need one: a process of
// its own with its data in a temporary folder, reached through a Unix socket. Where the package is missing it is installed
// when that can be done without asking, as internal/testenv does; otherwise the error names the command.
//
// The server does not outlive the process that started it: on Linux the kernel kills it, however that process ended.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Settings are the server's, over PostgreSQL's defaults. Whatever makes a commit durable is left on: fsync,
// full_page_writes, synchronous_commit. The rest is what an operator sets first on a machine of some GB: memory, and
// checkpoints that are not hurried by the volume of a benchmark.
var Settings = []string{
	"shared_buffers=512MB",
	"work_mem=16MB",
	"max_wal_size=8GB",
	"checkpoint_timeout=15min",
	"effective_io_concurrency=100",
	"random_page_cost=1.1",
}

const (
	role = "bench" // of the database
	// startLimit is generous: the servers of other sides share the processors.
	startLimit = 60 * time.Second
	stopLimit  = 20 * time.Second
)

// Server is one PostgreSQL process.
type Server struct {
	dir     string
	process *os.Process
	// ended is closed when the process has ended and been reaped.
	ended chan struct{}
}

// Start makes a database cluster and starts a server on it with [Settings] and then extra ones, each "name=value", which
// win. It returns when the server answers. The caller stops it.
func Start(ctx context.Context, extra ...string) (*Server, error) {
	bin, err := install(ctx)
	if err != nil {
		return nil, err
	}
	// PostgreSQL refuses to run as root.
	as, err := owner()
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	dir, err := os.MkdirTemp("", "tasktier-postgres-")
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	s := &Server{dir: dir, ended: make(chan struct{})}
	if err := s.start(ctx, bin, as, extra); err != nil {
		return nil, errors.Join(fmt.Errorf("start postgres: %w", err), s.Stop())
	}
	return s, nil
}

// URL is the server's address for pgx.
func (s *Server) URL() string { return fmt.Sprintf("host=%s user=%s dbname=postgres", s.dir, role) }

// Stop ends the server and removes its data.
func (s *Server) Stop() error {
	var err error
	if s.process != nil {
		_ = s.process.Signal(syscall.SIGINT) // a fast shutdown: connections are cut, data is written
		select {
		case <-s.ended:
		case <-time.After(stopLimit):
			_ = s.process.Kill()
			<-s.ended
			err = fmt.Errorf("stop postgres: killed after %s", stopLimit)
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *Server) start(ctx context.Context, bin string, as *syscall.Credential, extra []string) error {
	if as != nil {
		if err := os.Chown(s.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", role, "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.dir, attributes(as)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w:\n%s", err, out)
	}
	args := []string{"-D", data, "-k", s.dir, "-c", "listen_addresses="}
	for _, setting := range append(Settings, extra...) {
		args = append(args, "-c", setting)
	}
	log, err := os.Create(filepath.Join(s.dir, "postgres.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	// The caller decides when the server ends, not the context of its start.
	server := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(bin, "postgres"), args...)
	server.Dir, server.SysProcAttr, server.Stdout, server.Stderr = s.dir, attributes(as), log, log
	if err := s.spawn(server); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w; its log:\n%s", err, text)
	}
	return nil
}

// spawn starts the process and waits for it on a thread of its own: the kernel sends the parent-death signal when the
// thread that forked ends.
func (s *Server) spawn(server *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := server.Start()
		s.process = server.Process
		started <- err
		if err == nil {
			_ = server.Wait() // how it ended is in its log
			close(s.ended)
		}
	}()
	return <-started
}

// await polls until the server answers, has ended, or the limit is over.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", startLimit, err)
		case <-tick.C:
		}
	}
}
