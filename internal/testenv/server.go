package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// startLimit is generous: other packages' tests share the processors.
	startLimit = 90 * time.Second
	stopLimit  = 20 * time.Second
)

// Server is one server process, which keeps its addresses and data when it is
// killed and started again. Its methods may be called from several goroutines;
// they act one after the other.
type Server struct {
	name    string
	dir     string
	command func() *exec.Cmd
	// ready is called until it returns nil; log is what the process has
	// written since this start.
	ready func(ctx context.Context, log []byte) error

	mu      sync.Mutex
	process *process // nil while stopped
}

// LogFile is the path of the server's log. All its lives append to it.
func (s *Server) LogFile() string { return filepath.Join(s.dir, s.name+".log") }

// DataDir is the folder that holds the server's data.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// Start starts the server after a Stop or a Kill, at the same addresses and
// with the data it had, and returns when it answers. On a running server it
// does nothing.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start()
}

func (s *Server) start() error {
	if s.process != nil && !s.process.ended() {
		return nil
	}
	p, err := spawn(s.command(), s.LogFile())
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.process = p
	if err := s.await(p); err != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		s.process = nil
		return fmt.Errorf("start %s: %w; its log %s ends:\n%s", s.name, err, s.LogFile(), s.logTail(p))
	}
	return nil
}

// await polls until the server is ready, has died, or the limit is over.
func (s *Server) await(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		log, err := readFrom(s.LogFile(), p.logStart)
		if err == nil {
			err = s.ready(ctx, log)
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended at once (%s)", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", startLimit, err)
		case <-tick.C:
		}
	}
}

// running says whether the server was started and not stopped since. A paused
// one runs.
func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && !s.process.ended()
}

// Stop asks the server to end, as an operator would, and returns when it has.
// A server that takes longer than 20 s is killed, which is an error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop()
}

func (s *Server) stop() error {
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	// A paused process would not see the second signal without the first.
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("stop %s: killed after %s", s.name, stopLimit)
	}
}

// Restart is Stop and Start; after a Kill it is Start.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(); err != nil {
		return err
	}
	return s.start()
}

// Kill ends the server with SIGKILL, as a crash would, and returns when it is
// gone. On a stopped server it does nothing.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	<-p.done
	return nil
}

// Pause freezes the server with SIGSTOP: connections stay open and nothing
// answers. Resume ends it.
func (s *Server) Pause() error { return s.signal("pause", syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.signal("resume", syscall.SIGCONT) }

func (s *Server) signal(verb string, sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fmt.Errorf("%s %s: it is not running", verb, s.name)
	}
	if err := s.process.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s %s: %w", verb, s.name, err)
	}
	return nil
}

// logTail is the last lines of this life's log, for an error message.
func (s *Server) logTail(p *process) []byte {
	const keep = 2000
	log, err := readFrom(s.LogFile(), p.logStart)
	if err != nil {
		return []byte(err.Error())
	}
	if len(log) > keep {
		log = log[len(log)-keep:]
		if _, whole, ok := bytes.Cut(log, []byte("\n")); ok {
			log = whole
		}
	}
	return log
}

func readFrom(path string, offset int64) ([]byte, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return all[min(offset, int64(len(all))):], nil
}
