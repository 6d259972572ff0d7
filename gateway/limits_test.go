package gateway_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"edgesync/gateway"
	"edgesync/proto/monitoring"
)

// TestLimitsChangeWhileServing tightens and loosens them under a connection that
// is open already.
func TestLimitsChangeWhileServing(t *testing.T) {
	w := newWorld(t, nil)
	certificate := w.edge("acme", "hq-sync")
	hello := func(c client) error {
		_, err := c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"})
		return err
	}
	acme := w.dial(certificate)
	must(t, hello(acme))

	limits := gateway.DefaultLimits()
	limits.CallRate, limits.CallBurst, limits.Connections, limits.TenantStreams = 0.001, 0, 1, 0
	w.server.Limit(limits)
	wantStatus(t, hello(acme), codes.ResourceExhausted, "the limit is 0.001 a second")
	wantStatus(t, hello(w.dial(certificate)), codes.Unavailable, "")

	limits.CallRate, limits.CallBurst, limits.Connections = 1000, 1000, 4
	w.server.Limit(limits)
	w.await("the new rate", func() bool { return hello(acme) == nil })
	must(t, hello(w.dial(certificate)))
	wantStatus(t, send(t.Context(), acme, chunk("hq-sync", 0, 1)), codes.ResourceExhausted, "which is the limit")

	w.server.Limit(gateway.DefaultLimits())
	must(t, send(t.Context(), acme, chunk("hq-sync", 0, 1)))
}
