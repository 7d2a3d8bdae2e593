// Package handler makes handlers out of configuration, for teams who write no Go: [HTTP] posts each task to a service,
// [Exec] runs a command for it. Both return an ordinary consumer.Handler, bounded by its context: when that ends, the
// request is canceled and the command is killed.
//
// What a service or a command answers on success, its body or standard output, is kept as the task's result if it has at
// most 64 KiB ([task.MaxResult]); of a failure, the start of the body or the end of standard error becomes the text of the
// error.
//
// Both are told the run's fencing tokens ([task.Fence], and [task.Slot] for a type with a limit), to hand to the systems
// that they write to.
//
// Everything in a task is untrusted: attributes are encoded before they enter a header, and bounded before they enter an
// environment. No part of a task chooses what is called or run.
package handler
