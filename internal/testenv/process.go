package testenv

import (
	"os"
	"os/exec"
	"runtime"
)

// process is one life of a server.
type process struct {
	cmd *exec.Cmd
	// done is closed when the process has ended and been reaped.
	done chan struct{}
	// logStart is the length of the log before this life.
	logStart int64
}

// spawn starts cmd with its output appended to logFile. The goroutine that
// starts the process also waits for it, on a thread of its own: the kernel
// sends the parent-death signal when the thread that forked ends, so that
// thread must live as long as the process.
func spawn(cmd *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()

	p := &process{cmd: cmd, done: make(chan struct{}), logStart: info.Size()}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // its state is in cmd.ProcessState
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
