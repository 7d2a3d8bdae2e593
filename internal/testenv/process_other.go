//go:build unix && !linux

package testenv

import "syscall"

// dieWithParent does here without the kernel's help: the process stays in its
// parent's group, so that at least an interrupt at the terminal reaches it.
func dieWithParent() *syscall.SysProcAttr { return nil }
