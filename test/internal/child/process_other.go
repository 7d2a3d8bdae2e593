//go:build !linux

package child

import "syscall"

// dieWithParent: elsewhere the kernel does not offer it.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
