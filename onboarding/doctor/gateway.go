package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/proto/shell"
)

// checkTLS shakes hands and waits for the gateway's first bytes: in TLS 1.3 a
// client learns only then whether its certificate was accepted.
func (e *examination) checkTLS(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	dialer := tls.Dialer{Config: e.tls}
	conn, err := dialer.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		detail, mend := e.explainHandshake(err)
		e.add(checkTLS, Problem, detail, mend)
		return false
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		e.add(checkTLS, Problem, fmt.Sprintf("the %s refuses this host's certificate: %v", e.server, err),
			"see `edgesync event list --type security.` on the platform for the reason: it was revoked or renewed elsewhere, its tenant was suspended, or its authority replaced; "+e.again)
		return false
	}
	e.add(checkTLS, OK, "the "+e.server+" is who it should be and accepts the certificate", "")
	return true
}

func (e *examination) explainHandshake(err error) (detail, mend string) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	detail = fmt.Sprintf("the %s is not trusted: %v", e.server, err)
	switch {
	case errors.As(err, &unknown):
		return detail, "it belongs to another platform, or the root was replaced while this host was away: " + e.again
	case errors.As(err, &name):
		return detail, "mend " + e.mendName + ": the certificate is for other names"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return detail, "check this host's clock; if it is right the certificate of the " + e.server + " has ended: restart `edgesync serve`"
	}
	return fmt.Sprintf("the connection is not made: %v", err), "see that " + e.addr + " is the " + e.server + " itself, with nothing between that ends TLS"
}

// checkGateway says Hello and asks for the configuration.
func (e *examination) checkGateway(ctx context.Context) bool {
	conn, err := grpc.NewClient("passthrough:///"+e.addr, grpc.WithTransportCredentials(credentials.NewTLS(e.tls)))
	if err != nil {
		e.add(checkHello, Problem, err.Error(), "mend "+e.mendAddr)
		return false
	}
	defer func() { _ = conn.Close() }()
	client := monitoring.NewAgentGatewayServiceClient(conn)
	ctx, cancel := context.WithTimeout(ctx, 2*e.Timeout)
	defer cancel()
	hostname, _ := os.Hostname() // It is only shown.
	answer, err := client.Hello(ctx, &monitoring.AgentHelloRequest{
		AgentId: e.config.AgentID, Version: e.Version, Capabilities: []string{"sync"},
		Hostname: hostname, Os: runtime.GOOS, Arch: runtime.GOARCH, Partition: e.config.Partition,
	})
	if err != nil {
		e.add(checkHello, Problem, answered(err), mendCall(err))
		e.add(checkGetConfig, Skipped, "not looked at: "+checkHello+" comes first", "")
		return true
	}
	e.add(checkHello, OK, fmt.Sprintf("welcome in tenant %s, gateway %s", answer.GetTenantSlug(), answer.GetGatewayId()), "")
	e.checkClock(time.Unix(answer.GetServerTime(), 0))
	e.checkGetConfig(ctx, client)
	return true
}

// How far a clock may be off before it matters: certificates are dated back by
// five minutes, and updates from the future are refused.
const (
	clockWarning = 30 * time.Second
	clockProblem = 5 * time.Minute
)

func (e *examination) checkClock(server time.Time) {
	if e.timed {
		return
	}
	e.timed = true
	off := e.Now().Sub(server).Round(time.Second)
	detail := fmt.Sprintf("this host's clock differs from the platform's by %s", shell.Duration(off))
	switch {
	case off.Abs() >= clockProblem:
		e.add(checkClock, Problem, detail, "set it (NTP): certificates and run times are judged by it")
	case off.Abs() >= clockWarning:
		e.add(checkClock, Warning, detail, "set it (NTP)")
	default:
		e.add(checkClock, OK, detail, "")
	}
}

func (e *examination) checkGetConfig(ctx context.Context, client monitoring.AgentGatewayServiceClient) {
	answer, err := client.GetConfig(ctx, &monitoring.AgentConfigRequest{AgentId: e.config.AgentID},
		grpc.MaxCallRecvMsgSize(64<<20), grpc.UseCompressor(gzip.Name))
	if err != nil {
		e.add(checkGetConfig, Problem, answered(err), mendCall(err))
		return
	}
	config, err := payload.DecodeConfig(answer.GetConfigJson())
	switch {
	case err != nil:
		e.add(checkGetConfig, Problem, fmt.Sprintf("the configuration is not understood: %v", err), "use the same version here and on the platform")
	case len(config.Malformed) > 0:
		key := slices.Min(slices.Collect(maps.Keys(config.Malformed)))
		e.add(checkGetConfig, Problem, fmt.Sprintf("sources in the configuration that are not understood: %d of %d, such as %s: %v",
			len(config.Malformed), len(config.Sources), key, config.Malformed[key]), "use the same version here and on the platform")
	case len(config.Sources) == 0:
		e.add(checkGetConfig, Warning, "the configuration has no source", "assign one on the platform: `edgesync source add --service "+e.config.AgentID+"`")
	default:
		e.add(checkGetConfig, OK, fmt.Sprintf("sources in the configuration: %d", len(config.Sources)), "")
	}
}

func answered(err error) string {
	s := status.Convert(err)
	return fmt.Sprintf("the platform answers %s: %s", s.Code(), s.Message())
}

func mendCall(err error) string {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		return "ask the platform's operator, or install the service's latest identity"
	case codes.Unavailable, codes.DeadlineExceeded:
		return "see that `edgesync serve` runs and is not overloaded; try again"
	}
	return "see the platform's log"
}
