//go:build unix && !linux

package postgres

import "syscall"

// attributes makes a child run as the given user (nil: this one). It stays in its parent's group, so that an interrupt at
// the terminal reaches it.
func attributes(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as}
}
