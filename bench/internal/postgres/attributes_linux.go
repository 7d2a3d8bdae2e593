package postgres

import "syscall"

// attributes makes a child run as the given user (nil: this one) and die with its parent.
func attributes(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
