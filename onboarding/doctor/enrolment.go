package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/onboarding"
)

// checkCA looks whether the identity could be renewed. Until it has to be, the
// connection to the gateway does not depend on that.
func (e *examination) checkCA(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	address, pin, err := onboarding.LoadCAInfo(e.paths)
	switch {
	case err != nil:
		e.add(checkCA, Problem, err.Error(), "use the files of one package")
		return true
	case address == "":
		e.add(checkCA, Warning, "the identity names no enrolment CA, so nobody renews it", e.again)
		return true
	case pin != "" && !e.holds(pin):
		e.add(checkCA, Problem, fmt.Sprintf("%s pins the root with the fingerprint %s, which %s does not hold", e.paths.CAInfo, pin, e.paths.CA), "use the files of one package")
		return true
	}
	held := client.Credential{Key: e.identity.Key, Chain: e.identity.Chain, CAURL: address}
	held.Roots = slices.DeleteFunc(slices.Clone(e.identity.CAs), func(c *x509.Certificate) bool { return c.CheckSignatureFrom(c) != nil })
	roots, err := client.Client{Now: e.Now}.Roots(ctx, held)
	if e.askTime(ctx, address); err != nil {
		e.explainCA(address, err)
		return true
	}
	detail := address + " is the platform's and renews this identity"
	if slices.ContainsFunc(roots, func(root *x509.Certificate) bool { return !slices.ContainsFunc(held.Roots, root.Equal) }) {
		detail += "; the root is being replaced, and the next renewal brings the new one"
	}
	e.add(checkCA, OK, detail, "")
	return true
}

// holds says whether a root with the fingerprint is among those known.
func (e *examination) holds(fingerprint string) bool {
	return slices.ContainsFunc(e.identity.CAs, func(c *x509.Certificate) bool {
		return strings.EqualFold(certs.Fingerprint(c), fingerprint)
	})
}

func (e *examination) explainCA(address string, err error) {
	result := Warning
	leaf := e.identity.Chain[0]
	if e.Now().After(leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / aboutToEnd)) {
		result = Problem
	}
	if errors.Is(err, client.ErrUntrusted) {
		e.add(checkCA, Problem, fmt.Sprintf("what answers at %s is not the platform's: %v", address, err),
			"see that nothing between ends TLS, and the clock; if the platform's root was replaced while this host was away: "+e.again)
		return
	}
	port := "9443"
	if u, err := url.Parse(address); err == nil && u.Port() != "" {
		port = u.Port()
	}
	e.add(checkCA, result, fmt.Sprintf("the identity is not renewed while %s does not answer: %v", address, err),
		"let this host out to TCP port "+port+", and see that `edgesync serve` runs there with --ca-listen")
}

// askTime compares clocks before anything is trusted: a clock that is off is the
// reason for much that is not.
func (e *examination) askTime(ctx context.Context, address string) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Nothing is sent, and nothing but the time is read, to be shown.
		InsecureSkipVerify: true,
	}, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/health", nil)
	if err != nil {
		return
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return // Why is told by who asks for more than the time.
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 1<<10)
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil && e.Now().Sub(at).Abs() >= clockWarning {
		e.checkClock(at.Add(500 * time.Millisecond))
	}
}
