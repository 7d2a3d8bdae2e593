package handler

import "syscall"

// bind has the kernel kill the child when the thread that starts it ends, as all threads do when the node is killed:
// otherwise a command would go on while another node, finding the owner gone, runs the task again.
func bind(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
