package testenv

import "syscall"

// dieWithParent makes the kernel kill the process when its parent ends. The
// process gets a group of its own, so that an interrupt at the terminal reaches
// the parent alone, which then stops its servers in order.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
