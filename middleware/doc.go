// Package middleware holds what can be put around handlers, one thing a file; what pulls larger modules in has a package
// of its own: metrics (Prometheus) and tracing (OpenTelemetry). Add them with consumer.Mux.Use; the first added is the
// outermost. Tracing goes outside of logging and metrics, so that both see its context.
//
// Two things that other systems have here are missing on purpose, since they are not a matter of choice. The engine
// itself turns a handler's panic into a failure: a node must not die of one task. And it bounds every attempt by a
// timeout: a slot must not be lost to one. A panic therefore passes through all middleware on its way out; those here
// count it as a failure and let it pass.
package middleware
