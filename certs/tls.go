package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// ServerTLS is the gateway's side of a connection. Who the client is is decided
// in VerifyConnection by issuers.Identify and by nothing else: no list of client
// CAs is kept or sent, and no session is resumed, so that a removed tenant fails
// at its next handshake and a handshake costs the same with any number of them.
//
// certificate is asked at each handshake. refused, if not nil, is told of each
// refusal; it must not block.
func ServerTLS(issuers *Issuers, certificate func() *tls.Certificate, refused func(addr string, refusal *Refusal)) *tls.Config {
	if refused == nil {
		refused = func(string, *Refusal) {}
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		// Not RequireAnyClientCert: a client without a certificate is then
		// refused before anybody can count it.
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetCertificate:         present(certificate),
		VerifyConnection: func(tls.ConnectionState) error {
			return errors.New("verify client: the connection was not prepared")
		},
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		addr := remoteAddr(hello.Conn)
		if !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
			refused(addr, refuse(ReasonTLSVersion, "the client does not offer TLS 1.3"))
			return nil, nil
		}
		config := base.Clone()
		config.GetConfigForClient = nil
		config.VerifyConnection = func(state tls.ConnectionState) error {
			_, err := issuers.Identify(state.PeerCertificates, issuers.Now())
			var refusal *Refusal
			if errors.As(err, &refusal) {
				refused(addr, refusal)
			}
			return err
		}
		return config, nil
	}
	return base
}

func present(certificate func() *tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c := certificate(); c != nil {
			return c, nil
		}
		return nil, errors.New("present server certificate: there is none")
	}
}

func remoteAddr(conn net.Conn) string {
	if conn == nil || conn.RemoteAddr() == nil {
		return ""
	}
	return conn.RemoteAddr().String()
}

// PeerFromTLS is who is at the other end of an accepted connection, now: a
// certificate that has expired or whose tenant was removed since the handshake
// is a *Refusal.
func PeerFromTLS(state tls.ConnectionState, issuers *Issuers, addr string, now time.Time) (Peer, error) {
	identity, err := issuers.Identify(state.PeerCertificates, now)
	if err != nil {
		return Peer{}, err
	}
	return Peer{Identity: identity, Addr: addr}, nil
}

// ClientTLS is the side of whoever dials the gateway. caPEM holds the root,
// other certificates in it are not trusted as roots; certificate is the client's
// own, asked at each handshake; serverName is the gateway's name, which the
// server must answer to with a leaf of the platform's.
func ClientTLS(caPEM []byte, certificate func() *tls.Certificate, serverName string) (*tls.Config, error) {
	if serverName == "" {
		return nil, errors.New("prepare connection to the gateway: its server name is empty")
	}
	chain, err := DecodePEM(caPEM)
	if err != nil {
		return nil, fmt.Errorf("prepare connection to the gateway: %w", err)
	}
	roots, found := x509.NewCertPool(), false
	for _, c := range chain {
		if c.IsCA && c.CheckSignatureFrom(c) == nil {
			roots.AddCert(c)
			found = true
		}
	}
	if !found {
		return nil, errors.New("prepare connection to the gateway: the CA file holds no root certificate")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		RootCAs:    roots,
		ServerName: serverName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c := certificate(); c != nil {
				return c, nil
			}
			return nil, errors.New("present client certificate: there is none")
		},
		VerifyConnection: func(state tls.ConnectionState) error { return isGateway(state.VerifiedChains) },
	}, nil
}

// isGateway refuses a server that answers to the gateway's name with a leaf that
// is not the platform's for a gateway: a tenant's key must not pass for it even
// where the constraints on names would let it. Under a root that is not of our
// making nothing says what an intermediate is for; there the name alone decides.
func isGateway(chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		if root, err := ReadAuthority(chain[len(chain)-1]); err != nil || root.Kind != KindRoot {
			return nil
		}
		if len(chain) == 3 && platformGateway(chain[0], chain[1]) {
			return nil
		}
	}
	return errors.New("verify gateway: its certificate is not one the platform issued to a gateway")
}

func platformGateway(leaf, issuer *x509.Certificate) bool {
	authority, err := ReadAuthority(issuer)
	if err != nil || authority.Kind != KindPlatform {
		return false
	}
	_, uris, _, err := subjectNames(leaf)
	if err != nil || len(uris) != 1 {
		return false
	}
	n, err := parseSPIFFE(uris[0])
	return err == nil && n.kind == TypeGateway && n.tenant == authority.Tenant && n.trustDomain == authority.TrustDomain
}
