// Package tracing is middleware that makes handlers part of a distributed trace, with OpenTelemetry.
package tracing

import (
	"context"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/middleware/internal/outcome"
	"github.com/tasktier/tasktier/task"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	parentKey = "traceparent"
	stateKey  = "tracestate"
)

// wire is how trace context travels in a task: as the W3C says.
var wire = propagation.TraceContext{}

// New returns middleware that records a span of kind consumer for each attempt, named "process" and the task's type.
//
// Its parent is the span that the task was sent in, which the task carries, so all attempts hang beside each other under
// their sender. If the context has a span already, that one is the parent and the sender's is linked. Attributes follow
// the semantic conventions for messaging and CloudEvents 1.43.0, where the system is tasktier and the destination the
// queue. The status is an error for attempts that failed or were canceled, not for snoozed ones.
func New(tp trace.TracerProvider) consumer.Middleware {
	tracer := tp.Tracer("github.com/tasktier/tasktier/middleware/tracing", trace.WithSchemaURL(semconv.SchemaURL))
	return func(next consumer.Handler) consumer.Handler {
		return func(ctx context.Context, t *task.Task) error {
			ctx, span := start(ctx, tracer, t)
			err := outcome.ErrPanic // unless next returns
			defer func() { end(ctx, span, err) }()
			err = next(ctx, t)
			return err
		}
	}
}

func start(ctx context.Context, tracer trace.Tracer, t *task.Task) (context.Context, trace.Span) {
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("tasktier"),
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationName(t.Queue),
		semconv.MessagingMessageID(t.ID),
		semconv.MessagingMessageBodySize(len(t.Payload)),
		semconv.CloudEventsEventID(t.ID),
		semconv.CloudEventsEventSource(t.Source),
		semconv.CloudEventsEventType(t.Type),
		attribute.Int("tasktier.generation", t.Generation),
		attribute.Int("tasktier.turn", t.Turn),
		attribute.Int("tasktier.attempt", t.Attempt),
	)}
	sent := wire.Extract(context.Background(), propagation.MapCarrier{parentKey: t.TraceParent, stateKey: t.TraceState})
	if sender := trace.SpanContextFromContext(sent); sender.IsValid() {
		if trace.SpanContextFromContext(ctx).IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sender}))
		} else {
			ctx = trace.ContextWithRemoteSpanContext(ctx, sender)
		}
	}
	return tracer.Start(ctx, "process "+t.Type, opts...)
}

func end(ctx context.Context, span trace.Span, err error) {
	o := outcome.Of(ctx, err)
	span.SetAttributes(attribute.String("tasktier.outcome", string(o)))
	if o.Bad() {
		span.SetAttributes(semconv.ErrorTypeKey.String(string(o))) // few values, as the conventions ask
		span.SetStatus(codes.Error, err.Error())
		span.RecordError(err)
	}
	span.End()
}

// Inject returns the trace context of ctx as a task carries it, for the option task.Trace. Both are empty if ctx is not
// part of a trace.
func Inject(ctx context.Context) (traceParent, traceState string) {
	c := propagation.MapCarrier{}
	wire.Inject(ctx, c)
	return c[parentKey], c[stateKey]
}
