package e2e_test

import (
	"log/slog"
	"slices"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"edgesync/core"
	"edgesync/faker"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun"
)

// spans are what a process has told of.
func tracer() (*tracing.Tracer, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithIDGenerator(tracing.IDs{}))), spans
}

func names(spans tracetest.SpanStubs) []string {
	var list []string
	for _, s := range spans {
		list = append(list, s.Name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestOneTraceFromThePageToTheCommit(t *testing.T) {
	t.Parallel()
	p := &platform{t: t, dir: t.TempDir(), clock: &clock{}}
	there, received := tracer()
	p.tracer = there
	p.serve(true)
	t.Cleanup(func() { p.stop() })
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	world := newSystems(t, faker.Options{Armis: 120, NetBox: 1, Seed: 1})
	source := p.armisAt("acme", "main", "hq", world.URL)
	here, sent := tracer()
	logs := &lines{}
	must(t, e.runtime(func(o *syncrun.Options) {
		o.Tracer, o.Logger = here, slog.New(slog.NewTextHandler(logs, nil))
	}).Run(t.Context()))

	runs, err := p.core.Runs(t.Context(), core.RunQuery{Tenant: "acme", Source: source.ID.String(), Limit: 1})
	must(t, err)
	id := runs[0].TraceID
	if id == "" || id != tracing.Text(runs[0].ID) {
		t.Fatalf("the run is of trace %q", id)
	}
	for _, s := range slices.Concat(sent.GetSpans(), received.GetSpans()) {
		if s.SpanContext.TraceID().String() != id {
			t.Errorf("span %s is of trace %s, want %s", s.Name, s.SpanContext.TraceID(), id)
		}
	}
	if got := names(sent.GetSpans()); !slices.Equal(got, []string{"chunk", "page", "run", "stream"}) {
		t.Errorf("the runtime tells of %v", got)
	}
	if got := names(received.GetSpans()); !slices.Equal(got, []string{"commit", "ingest", "plan", "stream"}) {
		t.Errorf("the platform tells of %v", got)
	}
	// What the platform does hangs below what the runtime sent.
	var streamed trace.SpanID
	for _, s := range sent.GetSpans() {
		if s.Name == "stream" {
			streamed = s.SpanContext.SpanID()
		}
	}
	for _, s := range received.GetSpans() {
		if s.Name == "stream" && s.Parent.SpanID() != streamed {
			t.Errorf("the platform's stream is below %s, want %s", s.Parent.SpanID(), streamed)
		}
	}
	if !logs.contain("trace_id=" + id) {
		t.Error("no line of the runtime's log names the trace")
	}
}

func TestForeignClientsTraceIsGoneOnWith(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	e.hello()
	source := p.source("acme", "lab", "hq")
	const foreign = "4bf92f3577b34da6a3ce929d0e0e4736"
	for run, header := range map[string]string{
		"theirs": "00-" + foreign + "-00f067aa0ba902b7-01",
		"broken": "00-\x01" + foreign,
		"none":   "",
	} {
		ctx := t.Context()
		if header != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, tracing.HeaderTraceParent, header)
		}
		err := e.pushIn(ctx, stream{source: source.ID, runID: run, chunks: [][]payload.Update{{update(source.ID, "1", "00:1b:21:00:00:01", "10.0.0.1")}}})
		if run == "broken" && err != nil {
			continue // gRPC itself refuses such a header.
		}
		must(t, err)
		want := tracing.Text(run)
		if run == "theirs" {
			want = foreign
		}
		runs, err := p.core.Runs(t.Context(), core.RunQuery{Tenant: "acme", Source: source.ID.String()})
		must(t, err)
		if i := slices.IndexFunc(runs, func(r core.RunView) bool { return r.ID == run }); i < 0 || runs[i].TraceID != want {
			t.Errorf("run %s is of another trace than %s: %+v", run, want, runs)
		}
	}
}
