package telemetry_test

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/telemetry"
	"edgesync/proto/tracing"
)

func options(endpoint string, env map[string]string) telemetry.Options {
	return telemetry.Options{
		Endpoint: endpoint, Service: "edgesync-run", Logger: slog.New(slog.DiscardHandler),
		Env: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
	}
}

func TestNoTracesUnlessToldWhereTo(t *testing.T) {
	for _, env := range []map[string]string{
		nil,
		{"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
	} {
		tracer, stop, err := telemetry.Start(t.Context(), options("", env))
		if tracer != nil || err != nil {
			t.Errorf("with %v there is a tracer (%v)", env, err)
		}
		stop()
	}
	for endpoint, env := range map[string]map[string]string{
		"ftp://collector": nil, "collector:4317": nil, "http://": nil, "http://127.0.0.1:1": {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
	} {
		if _, _, err := telemetry.Start(t.Context(), options(endpoint, env)); cmdutil.ExitCode(err) != cmdutil.ExitUsage {
			t.Errorf("%s with %v: %v", endpoint, env, err)
		}
	}
}

func TestSpansReachTheCollector(t *testing.T) {
	const run = "0af76519-16cd-43dd-8448-eb211c80319c"
	got := make(chan *coltracepb.ExportTraceServiceRequest, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
			}
			body = unpacked
		}
		data, err := io.ReadAll(body)
		request := &coltracepb.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(data, request) != nil {
			t.Errorf("%s got %d bytes (%v)", r.URL.Path, len(data), err)
		}
		got <- request
	}))
	t.Cleanup(collector.Close)
	tracer, stop, err := telemetry.Start(t.Context(), options(collector.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracer.Start(tracing.OfRun(t.Context(), run), "run")
	span.End(nil)
	stop()
	spans := (<-got).GetResourceSpans()[0]
	id := tracing.ID(run)
	if one := spans.GetScopeSpans()[0].GetSpans()[0]; string(one.GetTraceId()) != string(id[:]) || one.GetName() != "run" {
		t.Errorf("the collector got %v", one)
	}
	attributes := map[string]string{}
	for _, one := range spans.GetResource().GetAttributes() {
		attributes[one.GetKey()] = one.GetValue().GetStringValue()
	}
	if attributes["service.name"] != "edgesync-run" || attributes["service.version"] == "" {
		t.Errorf("the process is described by %v", attributes)
	}
}
