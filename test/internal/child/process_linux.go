package child

import "syscall"

// dieWithParent makes the kernel kill the process when its parent ends. It gets a group of its own, so that an interrupt at
// the terminal reaches the parent alone.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
