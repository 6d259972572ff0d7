// Package telemetry sends the traces of runs to whoever collects them. It is the
// only one that knows exporters, and it makes none unless it is told where to.
package telemetry

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"

	"edgesync/cmd/cmdutil"
	"edgesync/proto/tracing"
)

// flushWithin is how long what is not sent yet may take when the process ends.
const flushWithin = 5 * time.Second

// Options say where traces go. The variables of the OpenTelemetry specification
// (OTEL_EXPORTER_OTLP_…, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_SDK_DISABLED) say the rest.
type Options struct {
	// Endpoint is the URL of a collector; empty means what the environment names,
	// and if that is nothing there are no traces.
	Endpoint string
	Env      func(name string) (string, bool)
	// Service is the name of the process among others.
	Service string
	Logger  *slog.Logger
}

// Start makes the tracer of a process, nil where traces go nowhere. stop sends
// what is left and is to be called in any case.
func Start(ctx context.Context, o Options) (tracer *tracing.Tracer, stop func(), err error) {
	if !o.on() {
		return nil, func() {}, nil
	}
	exporter, err := o.exporter(ctx)
	if err != nil {
		return nil, func() {}, err
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", o.Service), attribute.String("service.version", cmdutil.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, func() {}, cmdutil.Usagef("describe this process in traces: %w", err)
	}
	// A collector that is away is told of now and then, not with every span.
	quiet := rate.Sometimes{First: 1, Interval: 10 * time.Minute}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		quiet.Do(func() { o.Logger.Warn("send traces", "error", err) })
	}))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described), sdktrace.WithIDGenerator(tracing.IDs{}))
	return tracing.New(provider), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			quiet.Do(func() { o.Logger.Warn("send last traces", "error", err) })
		}
	}, nil
}

func (o Options) env(names ...string) string {
	for _, name := range names {
		if value, ok := o.Env(name); ok && value != "" {
			return value
		}
	}
	return ""
}

func (o Options) on() bool {
	if strings.EqualFold(o.env("OTEL_SDK_DISABLED"), "true") || o.env("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return o.Endpoint != "" || o.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

func (o Options) exporter(ctx context.Context) (*otlptrace.Exporter, error) {
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, cmdutil.Usagef("--otlp-endpoint: want a URL such as http://127.0.0.1:4318")
		}
	}
	switch protocol := o.env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf":
		var options []otlptracehttp.Option
		if o.Endpoint != "" {
			// Like the variable, the flag names the collector and not its path for traces.
			options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"))
		}
		return otlptracehttp.New(ctx, options...)
	case "grpc":
		var options []otlptracegrpc.Option
		if o.Endpoint != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(o.Endpoint))
		}
		return otlptracegrpc.New(ctx, options...)
	default:
		return nil, cmdutil.Errorf(cmdutil.ExitUsage, "send traces: the protocol %q of OTEL_EXPORTER_OTLP_PROTOCOL is neither http/protobuf nor grpc", protocol)
	}
}

// Usage is what the flag of the endpoint says.
const Usage = "URL of an OpenTelemetry collector for traces, such as http://127.0.0.1:4318 (env OTEL_EXPORTER_OTLP_ENDPOINT; default: none, no traces)"
