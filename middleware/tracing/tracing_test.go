package tracing_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tasktier/tasktier/middleware/tracing"
	"github.com/tasktier/tasktier/task"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// attempt runs a task through the middleware and returns the recorded span of the attempt.
func attempt(t *testing.T, ctx context.Context, tt *task.Task, answer func(context.Context) error) sdk.ReadOnlySpan {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	h := tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)))(func(ctx context.Context, _ *task.Task) error { return answer(ctx) })
	func() {
		defer func() { recover() }() //nolint:errcheck // the engine's part
		h(ctx, tt)                   //nolint:errcheck // seen in the span
	}()
	if len(spans.Ended()) != 1 {
		t.Fatalf("%d spans ended", len(spans.Ended()))
	}
	return spans.Ended()[0]
}

func TestSenderAttemptAndHandlerAreOneTrace(t *testing.T) {
	tp := sdk.NewTracerProvider()
	state, err := trace.ParseTraceState("vendor=x")
	if err != nil {
		t.Fatal(err)
	}
	sending, sender := tp.Tracer("").Start(t.Context(), "checkout")
	sending = trace.ContextWithSpanContext(sending, sender.SpanContext().WithTraceState(state))
	tt := task.New("email.send", []byte("abc"), task.ID("1"), task.Source("/shop"), task.Queue("mail"), task.Trace(tracing.Inject(sending)))

	var inside trace.SpanContext
	span := attempt(t, t.Context(), tt, func(ctx context.Context) error {
		inside = trace.SpanContextFromContext(ctx)
		return nil
	})
	if span.Parent().SpanID() != sender.SpanContext().SpanID() || span.SpanContext().TraceID() != sender.SpanContext().TraceID() || !span.Parent().IsRemote() {
		t.Errorf("the parent is %v, want the sender's span %v", span.Parent(), sender.SpanContext())
	}
	if inside.SpanID() != span.SpanContext().SpanID() || inside.TraceState().String() != "vendor=x" {
		t.Errorf("the handler's span is %v, want that of the attempt, with the trace state", inside)
	}
	if span.Name() != "process email.send" || span.SpanKind() != trace.SpanKindConsumer || span.Status().Code != codes.Unset {
		t.Errorf("the span is %q, %v, %v", span.Name(), span.SpanKind(), span.Status())
	}
	want := map[attribute.Key]string{
		"messaging.system": "tasktier", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.destination.name": "mail", "messaging.message.id": "1", "messaging.message.body.size": "3",
		"cloudevents.event_id": "1", "cloudevents.event_source": "/shop", "cloudevents.event_type": "email.send",
		"tasktier.generation": "0", "tasktier.turn": "1", "tasktier.attempt": "1", "tasktier.outcome": "succeeded",
	}
	for _, a := range span.Attributes() {
		if a.Value.String() != want[a.Key] {
			t.Errorf("%s is %q, want %q", a.Key, a.Value.String(), want[a.Key])
		}
		delete(want, a.Key)
	}
	if len(want) > 0 {
		t.Errorf("missing attributes: %v", want)
	}
}

func TestASpanThatIsThereIsTheParentAndTheSenderLinked(t *testing.T) {
	tp := sdk.NewTracerProvider()
	sending, sender := tp.Tracer("").Start(t.Context(), "checkout")
	outer, around := tp.Tracer("").Start(t.Context(), "batch")
	span := attempt(t, outer, task.New("a", nil, task.Trace(tracing.Inject(sending))), func(context.Context) error { return nil })
	if span.Parent().SpanID() != around.SpanContext().SpanID() {
		t.Errorf("the parent is %v, want %v", span.Parent(), around.SpanContext())
	}
	if l := span.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != sender.SpanContext().SpanID() {
		t.Errorf("the links are %v, want %v", l, sender.SpanContext())
	}
}

func TestTasksWithoutOrWithBadTraceContextBeginATrace(t *testing.T) {
	for _, parent := range []string{"", "garbage", "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		span := attempt(t, t.Context(), task.New("a", nil, task.Trace(parent, "a=b")), func(context.Context) error { return nil })
		if span.Parent().IsValid() || !span.SpanContext().IsValid() || len(span.Links()) != 0 {
			t.Errorf("traceparent %q: the parent is %v, the span %v", parent, span.Parent(), span.SpanContext())
		}
	}
	if p, s := tracing.Inject(t.Context()); p != "" || s != "" {
		t.Errorf("outside a trace, Inject gives %q, %q", p, s)
	}
}

func TestStatusSaysHowTheAttemptEnded(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name   string
		answer func(context.Context) error
		status codes.Code
		kind   string // error.type
	}{
		{"success", func(context.Context) error { return nil }, codes.Unset, ""},
		{"snooze", func(context.Context) error { return task.Snooze(1) }, codes.Unset, ""},
		{"failure", func(context.Context) error { return boom }, codes.Error, "failed"},
		{"permanent failure", func(context.Context) error { return task.Permanent(boom) }, codes.Error, "permanent"},
		{"panic", func(context.Context) error { panic(boom) }, codes.Error, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			span := attempt(t, t.Context(), task.New("a", nil), c.answer)
			kind := ""
			for _, a := range span.Attributes() {
				if a.Key == "error.type" {
					kind = a.Value.AsString()
				}
			}
			if span.Status().Code != c.status || kind != c.kind {
				t.Errorf("status is %v, error.type %q, want %v, %q", span.Status(), kind, c.status, c.kind)
			}
			if (len(span.Events()) == 1) != (c.status == codes.Error) {
				t.Errorf("events: %v", span.Events())
			}
		})
	}
}
