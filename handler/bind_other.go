//go:build unix && !linux

package handler

import "syscall"

// bind does nothing: this system can't tie a child's life to its parent's.
func bind(*syscall.SysProcAttr) {}
