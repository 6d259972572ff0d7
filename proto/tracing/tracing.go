// Package tracing is how a run is followed from the page it was read from to the
// commit it ended in: the trace of a run is named after the run, so that every
// process that has a hand in it tells of the same one without asking another. It
// knows spans and the traceparent header of W3C Trace Context; it knows no
// exporter and nothing of what is traced.
package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// HeaderTraceParent is the call metadata that carries a trace on
// (https://www.w3.org/TR/trace-context/).
const HeaderTraceParent = "traceparent"

// maxTraceParent is far more than version 00 of the header has.
const maxTraceParent = 256

// ID is the trace id of a run: its own id where that is a UUID, else one made of
// it. It is invalid for a run without an id.
func ID(run string) trace.TraceID {
	if run == "" {
		return trace.TraceID{}
	}
	if id, err := uuid.Parse(run); err == nil && id != uuid.Nil {
		return trace.TraceID(id)
	}
	sum := sha256.Sum256([]byte(run))
	return trace.TraceID(sum[:16])
}

// Text is the trace id of a run as tools spell it, or empty for a run without an
// id.
func Text(run string) string {
	if id := ID(run); id.IsValid() {
		return id.String()
	}
	return ""
}

type runKey struct{}

// OfRun has spans that begin a trace below ctx begin that of a run.
func OfRun(ctx context.Context, run string) context.Context {
	if id := ID(run); id.IsValid() {
		return context.WithValue(ctx, runKey{}, id)
	}
	return ctx
}

// IDs makes the ids of spans and traces: that of the run where there is one. It
// is what a tracer provider is to be given.
type IDs struct{}

// NewIDs returns the ids of a span that begins a trace.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, ok := ctx.Value(runKey{}).(trace.TraceID)
	for !ok || !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
		ok = true
	}
	return id, IDs{}.NewSpanID(ctx, id)
}

// NewSpanID returns the id of a span within a trace.
func (IDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// Parent is ctx with the trace that a traceparent header names; ctx as it was
// where it names none that is valid.
func Parent(ctx context.Context, header string) context.Context {
	if header == "" || len(header) > maxTraceParent {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{HeaderTraceParent: header})
}

// Header is the traceparent header of the span in ctx, or empty.
func Header(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[HeaderTraceParent]
}

// Current is the trace id of the span in ctx, or that of a run.
func Current(ctx context.Context, run string) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	return Text(run)
}

// Tracer makes spans; a nil one makes none, at no cost.
type Tracer struct{ tracer trace.Tracer }

// New makes a Tracer of a provider.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{tracer: provider.Tracer("edgesync")}
}

// Start begins a span below the one in ctx.
func (t *Tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, options...)
	return ctx, Span{span: span}
}

// Below begins a span below the one in ctx, with the provider of that one: for
// those who are given a context and no Tracer.
func Below(ctx context.Context, name string) (context.Context, Span) {
	above := trace.SpanFromContext(ctx)
	if !above.IsRecording() {
		return ctx, Span{}
	}
	return New(above.TracerProvider()).Start(ctx, name)
}

// Span is a span, or nothing where there is no tracer.
type Span struct{ span trace.Span }

// On tells whether anything is recorded, so that what would be need not be made.
func (s Span) On() bool { return s.span != nil && s.span.IsRecording() }

// Set adds what is known of the span. It is for spans that are On.
func (s Span) Set(attributes ...attribute.KeyValue) {
	if s.span != nil {
		s.span.SetAttributes(attributes...)
	}
}

// Count sets a number.
func (s Span) Count(key string, n int64) {
	if s.On() {
		s.span.SetAttributes(attribute.Int64("edgesync."+key, n))
	}
}

// Text sets a text.
func (s Span) Text(key, value string) {
	if s.On() && value != "" {
		s.span.SetAttributes(attribute.String("edgesync."+key, value))
	}
}

// End ends the span; an error is what it came to.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil && s.span.IsRecording() {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}
