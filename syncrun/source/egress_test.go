package source_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"edgesync/syncrun/source"
)

func TestEgressAllowsThePublicInternetOnly(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200",
		"0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "168.63.129.16", "240.0.0.1",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "fec0::1", "2001:db8::1", "2002:7f00:1::", "2001::1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
	} {
		if (&source.Egress{}).Allows(netip.MustParseAddr(text)) {
			t.Errorf("%s may be dialled", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"} {
		if !(&source.Egress{}).Allows(netip.MustParseAddr(text)) {
			t.Errorf("%s may not be dialled", text)
		}
	}
}

func TestEgressExceptionsAreNoWiderThanTheySay(t *testing.T) {
	egress, err := source.ParseEgress([]string{"10.1.0.0/16", "127.0.0.1", "fd12::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": true, "127.0.0.2": false, "::ffff:10.1.2.3": true, "fd12::1": true, "fd13::1": false,
	} {
		if egress.Allows(netip.MustParseAddr(text)) != want {
			t.Errorf("%s: allowed is %v", text, !want)
		}
	}
	for _, bad := range []string{"", "ten", "10.0.0.0/33", "10.0.0.0/8,11.0.0.0/8"} {
		if _, err := source.ParseEgress([]string{bad}); err == nil {
			t.Errorf("%q is taken for a network", bad)
		}
	}
}

// TestGuardedClientSendsNoCredentialInside tries the ways to an address that is
// not to be reached: by itself, by name, by a redirect of a host that may be.
func TestGuardedClientSendsNoCredentialInside(t *testing.T) {
	var reached atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(inside.Close)
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	for _, endpoint := range []string{
		inside.URL, "http://localhost" + port, "http://[::1]" + port, "http://[::ffff:127.0.0.1]" + port, "http://0.0.0.0" + port,
		"http://169.254.169.254/latest/meta-data", "http://10.255.255.1",
	} {
		client := newClient(t, endpoint, source.Options{HTTP: &http.Client{Transport: (&source.Egress{}).Transport()}})
		_, err := get(t, client)
		if reason(err) != source.ReasonEgress || !strings.Contains(err.Error(), "--egress-allow") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestGuardedClientIsNotLedInsideByARedirect(t *testing.T) {
	var reached atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(inside.Close)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(outside.Close)
	// The one host is allowed, by its address; the other is the same address
	// under another port, so only the client's own rule is in the way.
	egress, err := source.ParseEgress([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = get(t, newClient(t, outside.URL, source.Options{HTTP: &http.Client{Transport: egress.Transport()}}))
	if reason(err) != source.ReasonRedirect || reached.Load() != 0 {
		t.Errorf("%v, %d requests came through", err, reached.Load())
	}
}

func TestGuardedClientTakesNoProxy(t *testing.T) {
	var reached atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	transport := (&source.Egress{}).Transport()
	if transport.Proxy != nil {
		t.Error("a proxy may stand between the guard and what is dialled")
	}
	request, err := http.NewRequest(http.MethodGet, "http://10.9.8.7/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err == nil {
		response.Body.Close()
	}
	var failed *source.Error
	if !errors.As(err, &failed) || reached.Load() != 0 {
		t.Error(fmt.Sprint(err, reached.Load()))
	}
}
