//go:build unix

package handler

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

const killsGroups = true

// runGroup runs cmd as the leader of a process group of its own, and leaves none of the group behind. cmd was made with a
// context; when that ends, the group is told to end, and after cmd.WaitDelay it is killed.
func runGroup(cmd *exec.Cmd) error {
	// On Linux a child may be tied to the life of the thread that started it (see bind): keep that thread until the
	// child is gone. Waiting occupies a thread anyway.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	bind(cmd.SysProcAttr)
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return err
	}
	err := cmd.Wait()
	// The leader is gone and its id could be given away, but not while a member of the group is left. Without one
	// this signal meets nothing, unless all ids were used up within these microseconds.
	signalGroup(cmd, syscall.SIGKILL) //nolint:errcheck // usually there is nobody left
	return err
}

func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	err := syscall.Kill(-cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
