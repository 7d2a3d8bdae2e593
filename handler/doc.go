// Package handler makes handlers out of configuration, for teams who write no Go: [HTTP] posts each task to a service,
// [Exec] runs a command for it. Both return an ordinary consumer.Handler, bounded by its context: when that ends, the
// request is canceled and the command is killed.
//
// What a service or a command answers is discarded on success; of a failure, the start of the body or the end of
// standard error becomes the text of the error.
//
// Everything in a task is untrusted: attributes are encoded before they enter a header, and bounded before they enter an
// environment. No part of a task chooses what is called or run.
package handler
