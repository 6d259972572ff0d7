package tracing_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"edgesync/proto/tracing"
)

func TestTraceIsNamedAfterItsRun(t *testing.T) {
	for run, want := range map[string]string{
		"0af76519-16cd-43dd-8448-eb211c80319c": "0af7651916cd43dd8448eb211c80319c",
		"":                                     "",
	} {
		if got := tracing.Text(run); got != want {
			t.Errorf("the trace of run %q is %q, want %q", run, got, want)
		}
	}
	for _, run := range []string{"run-7", "00000000-0000-0000-0000-000000000000", strings.Repeat("x", 500)} {
		if id := tracing.ID(run); !id.IsValid() || id != tracing.ID(run) {
			t.Errorf("the trace of run %q is %s", run, id)
		}
	}
	if tracing.ID("run-7") == tracing.ID("run-8") {
		t.Error("two runs have one trace")
	}
}

func provider() (*sdktrace.TracerProvider, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithIDGenerator(tracing.IDs{})), spans
}

func TestSpansOfARunShareItsTraceAcrossProcesses(t *testing.T) {
	const run = "0af76519-16cd-43dd-8448-eb211c80319c"
	here, sent := provider()
	there, received := provider()
	ctx, span := tracing.New(here).Start(tracing.OfRun(t.Context(), run), "stream")
	span.Count("devices", 7)
	header := tracing.Header(ctx)
	far, other := tracing.New(there).Start(tracing.Parent(context.Background(), header), "ingest")
	if got := tracing.Current(far, "another"); got != tracing.Text(run) {
		t.Errorf("the trace over there is %s", got)
	}
	_, below := tracing.Below(far, "commit")
	below.End(errors.New("disk full"))
	other.End(nil)
	span.End(nil)
	for _, s := range append(sent.GetSpans(), received.GetSpans()...) {
		if s.SpanContext.TraceID() != tracing.ID(run) {
			t.Errorf("span %s is of trace %s", s.Name, s.SpanContext.TraceID())
		}
	}
	if n := len(received.GetSpans()); n != 2 {
		t.Errorf("%d spans over there", n)
	}
	if status := received.GetSpans()[0].Status; status.Description != "disk full" {
		t.Errorf("the failed span says %+v", status)
	}
	// Without a run a trace is anybody's.
	ctx, span = tracing.New(here).Start(t.Context(), "other")
	defer span.End(nil)
	if id := trace.SpanContextFromContext(ctx).TraceID(); !id.IsValid() || id == tracing.ID(run) {
		t.Errorf("a trace without a run is %s", id)
	}
}

func TestHeaderThatIsNoTraceparentIsIgnored(t *testing.T) {
	for _, header := range []string{
		"", "junk", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", "00-0AF7651916CD43DD8448EB211C80319C-00f067aa0ba902b7-01",
		"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01" + strings.Repeat("-x", 1000), "00-\x00",
	} {
		if ctx := tracing.Parent(t.Context(), header); trace.SpanContextFromContext(ctx).IsValid() {
			t.Errorf("%q was taken for a traceparent", header)
		}
	}
	if tracing.Header(t.Context()) != "" {
		t.Error("there is a header without a span")
	}
}

func TestNoTracerCostsNothing(t *testing.T) {
	var off *tracing.Tracer
	ctx := t.Context()
	allocations := testing.AllocsPerRun(100, func() {
		inner, span := off.Start(ctx, "chunk")
		span.Count("devices", 7)
		span.Text("source", "hq")
		_, below := tracing.Below(inner, "commit")
		below.End(nil)
		span.End(nil)
	})
	if allocations != 0 {
		t.Errorf("a span that is not there takes %v allocations", allocations)
	}
}
