package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A Command says what to run.
type Command struct {
	// Path is the binary. Empty: that of this process.
	Path string
	// Env is added to the environment of this process.
	Env []string
	// Log is the file that standard error is appended to.
	Log string
	// Out takes standard output; nil: nobody does.
	Out io.Writer
}

// A Process is one life of a process.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and been waited for
	err  error         // how, if not well; after done
}

// Start starts a process. The goroutine that starts it also waits for it, on a thread of its own: the kernel takes the end
// of the thread that started a process for the end of its parent.
func Start(c Command) (*Process, error) {
	if c.Path == "" {
		c.Path = os.Args[0]
	}
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	defer log.Close()
	p := &Process{cmd: exec.Command(c.Path), done: make(chan struct{})} //nolint:noctx // it outlives the call that starts it
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = c.Out, log
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	return p, nil
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended says whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for its end and says how it ended: nil for exit code 0.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends a signal. One that has ended takes none, and that is no error.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal child %d: %w", p.PID(), err)
	}
	return nil
}

// Stop sends SIGTERM and waits for a clean end.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("child %d did not stop cleanly: %w", p.PID(), err)
	}
	return nil
}

// Kill sends SIGKILL and waits for the end. It says when the signal was sent.
func (p *Process) Kill() (time.Time, error) {
	at := time.Now()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return at, err
	}
	<-p.done
	return at, nil
}

// Code is the exit code of one that has ended, or -1 if a signal ended it.
func (p *Process) Code() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}
