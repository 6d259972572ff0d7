package certs_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// handshake connects a client to the gateway's TLS over loopback and exchanges
// a byte, so that either side's refusal shows on both.
func handshake(t testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer func() { _ = listener.Close() }()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		tlsConn := tls.Server(conn, server)
		err = tlsConn.Handshake()
		if err == nil {
			state = tlsConn.ConnectionState()
			_, err = tlsConn.Write([]byte{1})
		}
		done <- err
	}()
	conn := must(net.Dial("tcp", listener.Addr().String()))(t)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	tlsConn := tls.Client(conn, client)
	if clientErr = tlsConn.Handshake(); clientErr == nil {
		_, clientErr = tlsConn.Read(make([]byte, 1))
	}
	_ = conn.Close()
	serverErr = <-done
	return state, serverErr, clientErr
}

func clientConfig(t testing.TB, p *pki, c *tls.Certificate) *tls.Config {
	t.Helper()
	config := must(certs.ClientTLS(certs.EncodePEM(p.root.Certificate, p.acme.Certificate), func() *tls.Certificate { return c }, gatewayName))(t)
	config.Time = func() time.Time { return now }
	return config
}

// TestHandshakeRefusals has one row for each way to be nobody.
func TestHandshakeRefusals(t *testing.T) {
	p := newPKI(t)
	spoiled := func(a *issue.Authority, spoil func(*x509.Certificate)) func(*testing.T) *tls.Certificate {
		return func(t *testing.T) *tls.Certificate {
			c := template()
			spoil(c)
			return forge(t, a, c)
		}
	}
	named := func(path, commonName string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = []*url.URL{spiffeURL(path)}
			c.Subject.CommonName, c.DNSNames = commonName, []string{commonName}
		}
	}
	for name, test := range map[string]struct {
		client func(*testing.T) *tls.Certificate
		reason string
	}{
		"no certificate": {func(*testing.T) *tls.Certificate { return &tls.Certificate{} }, certs.ReasonNoCertificate},
		"tenant's authority signs another tenant's names": {spoiled(p.beta, func(*x509.Certificate) {}), certs.ReasonNameConstraint},
		"tenant's authority signs another tenant's URI below its own DNS name": {
			spoiled(p.beta, func(c *x509.Certificate) {
				c.Subject.CommonName, c.DNSNames = "hq-sync.default.beta."+trustDomain, []string{"hq-sync.default.beta." + trustDomain}
			}), certs.ReasonNameMismatch,
		},
		"tenant's authority signs another tenant's URI without a DNS name": {
			spoiled(p.beta, func(c *x509.Certificate) { c.DNSNames = nil }), certs.ReasonBadName,
		},
		"tenant's authority signs a platform component": {
			spoiled(p.acme, named("/sync/platform/default/core", "core.default.platform."+trustDomain)), certs.ReasonNameConstraint,
		},
		"tenant claims the type of a gateway":                 {spoiled(p.acme, func(c *x509.Certificate) { c.URIs[0].Path = "/gateway/acme/default/hq-sync" }), certs.ReasonPlatformOnly},
		"tenant claims the type of an operator":               {spoiled(p.acme, func(c *x509.Certificate) { c.URIs[0].Path = "/operator/acme/default/hq-sync" }), certs.ReasonPlatformOnly},
		"platform's authority names a tenant":                 {spoiled(p.platform, func(*x509.Certificate) {}), certs.ReasonTenantMismatch},
		"authority below a tenant's":                          {func(t *testing.T) *tls.Certificate { return subAuthorityLeaf(t, p) }, certs.ReasonUnknownIssuer},
		"authority below a tenant's with the tenant's key id": {func(t *testing.T) *tls.Certificate { return subAuthorityPosing(t, p) }, certs.ReasonBadChain},
		"leaf that is an authority": {spoiled(p.acme, func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		}), certs.ReasonCertificateCA},
		"the tenant's intermediate itself": {func(*testing.T) *tls.Certificate { return chainOf(p.acme.Key, p.acme.Certificate) }, certs.ReasonUnknownIssuer},
		"signed by the root":               {spoiled(p.root, func(*x509.Certificate) {}), certs.ReasonUnknownIssuer},
		"another root":                     {func(t *testing.T) *tls.Certificate { return leaf(t, newPKI(t).acme, syncLeaf("acme")) }, certs.ReasonUnknownIssuer},
		"self-signed":                      {selfSigned, certs.ReasonUnknownIssuer},
		"for servers only":                 {spoiled(p.acme, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), certs.ReasonKeyUsage},
		"expired":                          {spoiled(p.acme, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), certs.ReasonExpired},
		"not yet valid":                    {spoiled(p.acme, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), certs.ReasonNotYetValid},
		"name with a label too many":       {spoiled(p.acme, named("/sync/acme/default/hq/sync", "hq.sync.default.acme."+trustDomain)), certs.ReasonBadName},
		"name with a label too few":        {spoiled(p.acme, named("/sync/acme/hq-sync", "hq-sync.acme."+trustDomain)), certs.ReasonBadName},
		"empty label":                      {spoiled(p.acme, func(c *x509.Certificate) { c.URIs[0].Path = "/sync/acme//hq-sync" }), certs.ReasonBadName},
		"empty path":                       {spoiled(p.acme, func(c *x509.Certificate) { c.URIs[0].Path = "" }), certs.ReasonBadName},
		"upper case in all names":          {spoiled(p.acme, named("/sync/acme/default/HQ-sync", "HQ-sync.default.acme."+trustDomain)), certs.ReasonBadName},
		"upper case in the DNS name":       {spoiled(p.acme, func(c *x509.Certificate) { c.DNSNames[0] = "HQ-sync.default.acme." + trustDomain }), certs.ReasonNameMismatch},
		"upper case in the scheme":         {spoiled(p.acme, rawSAN("SPIFFE://"+trustDomain+"/sync/acme/default/hq-sync")), certs.ReasonBadName},
		"upper case in the host":           {spoiled(p.acme, rawSAN("spiffe://EDGESYNC.local/sync/acme/default/hq-sync")), certs.ReasonBadName},
		"Unicode in the common name":       {spoiled(p.acme, func(c *x509.Certificate) { c.Subject.CommonName = "hq-sync.default.аcme." + trustDomain }), certs.ReasonNameMismatch},
		"Unicode in the URI":               {spoiled(p.acme, func(c *x509.Certificate) { c.URIs[0].Path = "/sync/аcme/default/hq-sync" }), certs.ReasonBadName},
		"percent-encoding":                 {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+"/sync/%61cme/default/hq-sync")), certs.ReasonBadName},
		"encoded slash":                    {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+"/sync%2Facme/default/hq-sync")), certs.ReasonBadName},
		"query":                            {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+"/sync/acme/default/hq-sync?")), certs.ReasonBadName},
		"empty fragment":                   {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+"/sync/acme/default/hq-sync#")), certs.ReasonBadName},
		"port":                             {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+":443/sync/acme/default/hq-sync")), certs.ReasonBadName},
		"user":                             {spoiled(p.acme, rawSAN("spiffe://root@"+trustDomain+"/sync/acme/default/hq-sync")), certs.ReasonBadName},
		"trailing slash":                   {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+"/sync/acme/default/hq-sync/")), certs.ReasonBadName},
		"dot segments":                     {spoiled(p.acme, rawSAN("spiffe://"+trustDomain+"/sync/beta/../acme/default/hq-sync")), certs.ReasonBadName},
		"common name and URI disagree":     {spoiled(p.acme, func(c *x509.Certificate) { c.Subject.CommonName = "other.default.acme." + trustDomain }), certs.ReasonNameMismatch},
		"no common name":                   {spoiled(p.acme, func(c *x509.Certificate) { c.Subject.CommonName = "" }), certs.ReasonNameMismatch},
		"DNS name and URI disagree":        {spoiled(p.acme, func(c *x509.Certificate) { c.DNSNames[0] = "other.default.acme." + trustDomain }), certs.ReasonNameMismatch},
		"two common names": {spoiled(p.acme, func(c *x509.Certificate) {
			c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "other.default.acme." + trustDomain},
				{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: c.Subject.CommonName},
			}}
		}), certs.ReasonBadName},
		"no URI":                                 {spoiled(p.acme, func(c *x509.Certificate) { c.URIs = nil }), certs.ReasonBadName},
		"two URIs":                               {spoiled(p.acme, func(c *x509.Certificate) { c.URIs = append(c.URIs, spiffeURL("/sync/acme/default/other")) }), certs.ReasonBadName},
		"two DNS names":                          {spoiled(p.acme, func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "other.default.acme."+trustDomain) }), certs.ReasonBadName},
		"an address as well":                     {spoiled(p.acme, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }), certs.ReasonNameConstraint},
		"a mailbox as well":                      {spoiled(p.acme, func(c *x509.Certificate) { c.EmailAddresses = []string{"root@example.com"} }), certs.ReasonNameConstraint},
		"not SPIFFE":                             {spoiled(p.acme, rawSAN("https://"+trustDomain+"/sync/acme/default/hq-sync")), certs.ReasonBadName},
		"unknown type":                           {spoiled(p.acme, func(c *x509.Certificate) { c.URIs[0].Path = "/root/acme/default/hq-sync" }), certs.ReasonBadName},
		"foreign trust domain":                   {spoiled(p.acme, rawSAN("spiffe://example.org/sync/acme/default/hq-sync")), certs.ReasonNameConstraint},
		"foreign trust domain from the platform": {spoiled(p.platform, rawSAN("spiffe://example.org/sync/acme/default/hq-sync")), certs.ReasonNameConstraint},
	} {
		t.Run(name, func(t *testing.T) {
			var refusals []string
			gateway := gatewayLeaf(t, p)
			server := certs.ServerTLS(p.issuers, func() *tls.Certificate { return gateway }, func(addr string, r *certs.Refusal) {
				if addr == "" || r.Detail == "" {
					t.Errorf("refusal %v from %q tells too little", r, addr)
				}
				refusals = append(refusals, r.Reason)
			})
			_, serverErr, clientErr := handshake(t, server, clientConfig(t, p, test.client(t)))
			var refusal *certs.Refusal
			if !errors.As(serverErr, &refusal) || refusal.Reason != test.reason {
				t.Errorf("server: %v, want a refusal for %s", serverErr, test.reason)
			}
			if clientErr == nil {
				t.Error("the client was let in")
			}
			if len(refusals) != 1 || refusals[0] != test.reason {
				t.Errorf("counted %q, want one %s", refusals, test.reason)
			}
		})
	}
}

// rawSAN spells the URI byte by byte, beside the right DNS name.
func rawSAN(uri string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		names := []asn1.RawValue{
			{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(c.DNSNames[0])},
			{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)},
		}
		value, err := asn1.Marshal(names)
		if err != nil {
			panic(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
}

func selfSigned(t *testing.T) *tls.Certificate {
	key := newKey(t)
	c := template()
	der := must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key))(t)
	return chainOf(key, must(x509.ParseCertificate(der))(t))
}

// subAuthority is what the holder of a tenant's key might make of it.
func subAuthority(t *testing.T, p *pki, spoil func(*x509.Certificate)) *issue.Authority {
	key := newKey(t)
	c := template()
	c.Subject = p.acme.Certificate.Subject
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	spoil(c)
	signed := must(x509.CreateCertificate(rand.Reader, c, p.acme.Certificate, key.Public(), p.acme.Key))(t)
	return &issue.Authority{Certificate: must(x509.ParseCertificate(signed))(t), Key: key}
}

func subAuthorityLeaf(t *testing.T, p *pki) *tls.Certificate {
	sub := subAuthority(t, p, func(*x509.Certificate) {})
	c := forge(t, sub, template())
	c.Certificate = append(c.Certificate, p.acme.Certificate.Raw)
	return c
}

func subAuthorityPosing(t *testing.T, p *pki) *tls.Certificate {
	sub := subAuthority(t, p, func(c *x509.Certificate) { c.SubjectKeyId = p.acme.Certificate.SubjectKeyId })
	c := forge(t, sub, template())
	c.Certificate = append(c.Certificate, p.acme.Certificate.Raw)
	return c
}

// TestExtraIntermediatesAreIgnored sends the platform's intermediate and a
// stranger's along with a tenant's leaf.
func TestExtraIntermediatesAreIgnored(t *testing.T) {
	p := newPKI(t)
	c := leaf(t, p.acme, syncLeaf("acme"))
	c.Certificate = [][]byte{c.Certificate[0], p.platform.Certificate.Raw, newPKI(t).acme.Certificate.Raw, p.beta.Certificate.Raw}
	gateway := gatewayLeaf(t, p)
	state, serverErr, clientErr := handshake(t, certs.ServerTLS(p.issuers, func() *tls.Certificate { return gateway }, nil), clientConfig(t, p, c))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server: %v, client: %v", serverErr, clientErr)
	}
	peer, err := certs.PeerFromTLS(state, p.issuers, "192.0.2.1:4711", now)
	if err != nil || peer.Class != certs.ClassTenant || peer.TenantID != p.acmeID || peer.Addr != "192.0.2.1:4711" {
		t.Fatalf("peer %+v, %v", peer, err)
	}
}

// TestTLS12IsRefused offers everything but TLS 1.3.
func TestTLS12IsRefused(t *testing.T) {
	p := newPKI(t)
	gateway := gatewayLeaf(t, p)
	var counted []string
	server := certs.ServerTLS(p.issuers, func() *tls.Certificate { return gateway }, func(_ string, r *certs.Refusal) { counted = append(counted, r.Reason) })
	client := clientConfig(t, p, leaf(t, p.acme, syncLeaf("acme")))
	client.MinVersion, client.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	_, serverErr, clientErr := handshake(t, server, client)
	if serverErr == nil || clientErr == nil || !strings.Contains(clientErr.Error(), "protocol version") {
		t.Fatalf("server: %v, client: %v", serverErr, clientErr)
	}
	if len(counted) != 1 || counted[0] != certs.ReasonTLSVersion {
		t.Fatalf("counted %q", counted)
	}
}

// TestNoCAListIsSentAndNothingResumes looks at what a client sees: no names of
// tenants in the certificate request, and no session to take up again.
func TestNoCAListIsSentAndNothingResumes(t *testing.T) {
	p := newPKI(t)
	gateway := gatewayLeaf(t, p)
	server := certs.ServerTLS(p.issuers, func() *tls.Certificate { return gateway }, nil)
	c := leaf(t, p.acme, syncLeaf("acme"))
	client := clientConfig(t, p, c)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	client.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(info.AcceptableCAs) != 0 {
			t.Errorf("%d CAs were named to the client", len(info.AcceptableCAs))
		}
		return c, nil
	}
	for range 2 {
		state, serverErr, clientErr := handshake(t, server, client)
		if serverErr != nil || clientErr != nil || state.DidResume {
			t.Fatalf("server: %v, client: %v, resumed %v", serverErr, clientErr, state.DidResume)
		}
	}
	p.issuers.RemoveTenant(p.acmeID)
	if _, serverErr, clientErr := handshake(t, server, client); serverErr == nil || clientErr == nil {
		t.Fatal("a removed tenant was let in")
	}
}

// TestTenantCannotPoseAsGateway has a tenant's authority sign the gateway's name,
// and names that fit its constraints.
func TestTenantCannotPoseAsGateway(t *testing.T) {
	p := newPKI(t)
	asServer := func(a *issue.Authority, uri string, dns ...string) *tls.Certificate {
		c := template()
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.DNSNames = dns
		c.URIs = []*url.URL{spiffeURL(uri)}
		return forge(t, a, c)
	}
	const own = "gateway.default.acme." + trustDomain
	for name, test := range map[string]struct {
		posing *tls.Certificate
		pinned string
	}{
		"the gateway's name":                   {asServer(p.acme, "/gateway/platform/default/gateway", gatewayName), gatewayName},
		"the gateway's URI, a name of its own": {asServer(p.acme, "/gateway/platform/default/gateway", own), gatewayName},
		"the client was given its name":        {asServer(p.acme, "/gateway/platform/default/gateway", own), own},
		"its own leaf":                         {leaf(t, p.acme, syncLeaf("acme")), gatewayName},
		"the platform's, not for a gateway":    {asServer(p.platform, "/sync/platform/default/gateway", gatewayName), gatewayName},
		"the platform's, another name":         {gatewayLeaf(t, p), "other." + trustDomain},
		"the root's":                           {asServer(p.root, "/gateway/platform/default/gateway", gatewayName), gatewayName},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientConfig(t, p, leaf(t, p.acme, syncLeaf("acme")))
			client.ServerName = test.pinned
			server := certs.ServerTLS(p.issuers, func() *tls.Certificate { return test.posing }, nil)
			if _, _, err := handshake(t, server, client); err == nil {
				t.Fatal("the client took it for the gateway")
			}
		})
	}
}

// TestGatewayOfAnotherMaking talks to a server below a root we did not make,
// whose intermediates say nothing of their purpose: the name decides.
func TestGatewayOfAnotherMaking(t *testing.T) {
	p := newPKI(t)
	rootKey := newKey(t)
	root := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Another Root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	foreign := &issue.Authority{Certificate: root, Key: rootKey}
	foreign.Certificate = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey))(t)))(t)
	c := template()
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c.DNSNames = []string{"gateway.example.org"}
	c.URIs = nil
	gateway := forge(t, foreign, c)
	own := leaf(t, p.acme, syncLeaf("acme"))
	for name, ok := range map[string]bool{"gateway.example.org": true, "other.example.org": false} {
		client := must(certs.ClientTLS(certs.EncodePEM(foreign.Certificate), func() *tls.Certificate { return own }, name))(t)
		client.Time = func() time.Time { return now }
		server := certs.ServerTLS(p.issuers, func() *tls.Certificate { return gateway }, nil)
		if _, _, err := handshake(t, server, client); (err == nil) != ok {
			t.Errorf("server name %s: %v", name, err)
		}
	}
}
