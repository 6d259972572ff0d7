package serve_test

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"edgesync/cmd/serve"
)

// TestAllowedNetworksChangeWhileServing closes a listener to this host and opens
// it again.
func TestAllowedNetworksChangeWhileServing(t *testing.T) {
	c := config(bootstrapped(t))
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	c.Allow = serve.Allow{Gateway: elsewhere, Metrics: elsewhere}
	platform, err := serve.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		platform.Stop()
		if err := platform.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if answer, err := http.Get("http://" + platform.MetricsAddr.String() + "/healthz"); err == nil {
		t.Errorf("answers %s to an address that is not allowed", answer.Status)
	}
	conn, err := net.Dial("tcp", platform.GatewayAddr.String())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the gateway says %d bytes: %v", n, err)
	}
	_ = conn.Close()
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	if err := platform.Change(t.Context(), serve.Live{Allow: serve.Allow{Gateway: elsewhere, Metrics: here}}); err != nil {
		t.Fatal(err)
	}
	metrics := get(t, platform.MetricsAddr, "/metrics")
	if !strings.Contains(metrics, `edgesync_serve_connections_refused_total{listener="gateway"} 1`) ||
		!strings.Contains(metrics, `edgesync_serve_connections_refused_total{listener="metrics"} 1`) {
		t.Error("refused connections were not counted")
	}
}
