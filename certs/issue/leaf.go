package issue

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"edgesync/certs"
	"edgesync/proto/shell"
)

// How long a leaf may live.
const (
	MinLife     = 5 * time.Minute
	DefaultLife = 30 * 24 * time.Hour
	MaxLife     = 90 * 24 * time.Hour
)

const (
	minRSABits = 2048
	maxRSABits = 8192
)

// Leaf is what a leaf is to say. The request it is signed for has no say in it.
type Leaf struct {
	Type      certs.Type
	Tenant    string
	Partition string
	Component string
	// Life is DefaultLife when zero. A leaf never outlives its issuer.
	Life time.Duration
	// ServerNames are the hosts and addresses a gateway answers to. A gateway
	// has at least one, the other types none.
	ServerNames []string
	// AnyBelow is a host below which a gateway answers to any one label as well;
	// empty for none.
	AnyBelow string
}

// SignLeaf signs the public key of a certificate request (PKCS #10, DER). The
// request's own signature proves that whoever asks holds the key; its names and
// extensions are ignored.
func (a *Authority) SignLeaf(csrDER []byte, leaf Leaf, now time.Time) (*x509.Certificate, error) {
	csr, err := readRequest(csrDER)
	if err != nil {
		return nil, err
	}
	template, err := a.leafTemplate(leaf, now)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %q: %w", leaf.Component, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, csr.PublicKey, a.Key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %q: %w", leaf.Component, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %q: %w", leaf.Component, err)
	}
	return cert, nil
}

func readRequest(der []byte) (*x509.CertificateRequest, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check certificate request: it does not prove its key: %w", err)
	}
	switch key := csr.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("check certificate request: an RSA key of %d bits is refused, use ECDSA P-256", bits)
		}
	default:
		return nil, fmt.Errorf("check certificate request: keys of type %T are refused, use ECDSA P-256", key)
	}
	return csr, nil
}

func (a *Authority) leafTemplate(leaf Leaf, now time.Time) (*x509.Certificate, error) {
	if err := a.mayIssue(leaf); err != nil {
		return nil, err
	}
	name, err := certs.CommonName(leaf.Component, leaf.Partition, leaf.Tenant, a.names.TrustDomain)
	if err != nil {
		return nil, err
	}
	life := leaf.Life
	if life == 0 {
		life = DefaultLife
	}
	if life < MinLife || life > MaxLife {
		return nil, fmt.Errorf("its life of %s is not between %s and %s", shell.Duration(life), shell.Duration(MinLife), shell.Duration(MaxLife))
	}
	if !now.Before(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("the authority of tenant %q ended on %s", a.names.Tenant, a.Certificate.NotAfter.Format(time.DateOnly))
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore:   now.Add(-Backdate),
		NotAfter:    earlier(now.Add(life), a.Certificate.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name},
		URIs: []*url.URL{{
			Scheme: "spiffe", Host: a.names.TrustDomain,
			Path: "/" + string(leaf.Type) + "/" + leaf.Tenant + "/" + leaf.Partition + "/" + leaf.Component,
		}},
		BasicConstraintsValid: true,
	}
	if leaf.Type == certs.TypeGateway {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames = nil
		return template, serve(template, leaf)
	}
	return template, nil
}

// mayIssue keeps an authority to its own tenant and a tenant's from the types
// that are the platform's.
func (a *Authority) mayIssue(leaf Leaf) error {
	platform := a.names.Kind == certs.KindPlatform
	switch {
	case a.names.Kind == certs.KindRoot:
		return fmt.Errorf("the root issues authorities only")
	case leaf.Tenant != a.names.Tenant:
		return fmt.Errorf("tenant %q is not %q, whose authority this is", leaf.Tenant, a.names.Tenant)
	}
	switch leaf.Type {
	case certs.TypeSync, certs.TypeAgent:
	case certs.TypeGateway, certs.TypeOperator:
		if !platform {
			return fmt.Errorf("type %q is issued by the platform's authority only", leaf.Type)
		}
	default:
		return fmt.Errorf("no such type %q", leaf.Type)
	}
	if gateway := leaf.Type == certs.TypeGateway; gateway != (len(leaf.ServerNames) > 0) {
		return fmt.Errorf("type %q with %d server names: a gateway has at least one, the others none", leaf.Type, len(leaf.ServerNames))
	}
	return nil
}

// serve puts the names a server answers to on its certificate.
func serve(template *x509.Certificate, leaf Leaf) error {
	for _, name := range leaf.ServerNames {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		host := strings.ToLower(name)
		if err := certs.ValidHost(host); err != nil {
			return fmt.Errorf("read server name: %w", err)
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	if leaf.AnyBelow == "" {
		return nil
	}
	host := strings.ToLower(leaf.AnyBelow)
	if err := certs.ValidHost(host); err != nil {
		return fmt.Errorf("read server name: %w", err)
	}
	template.DNSNames = append(template.DNSNames, "*."+host)
	return nil
}
