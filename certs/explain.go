package certs

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Explanation is a certificate in words. What others wrote into the certificate
// is quoted where it is not one of our names.
type Explanation struct {
	// Who it is of.
	Who string
	// Issuer is who signed it, and whether that is shown by what lies beside it.
	Issuer string
	// May is what its holder can do with it, a sentence each.
	May []string
	// Problems are what keeps it from being of use, a sentence each.
	Problems []string

	Serial            string
	KeyID, AuthorID   string
	NotBefore, NotAft time.Time
	// Fingerprint is the SHA-256 of the certificate, lower-case hex.
	Fingerprint string
}

// Fingerprint is the SHA-256 of a certificate, lower-case hex, as step prints it.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Explain says who a certificate is, who issued it and what it may do. beside
// are other certificates that may show its issuer; nothing is trusted for being
// there.
func Explain(c *x509.Certificate, beside []*x509.Certificate, now time.Time) Explanation {
	e := Explanation{
		Serial: c.SerialNumber.String(), KeyID: hex.EncodeToString(c.SubjectKeyId), AuthorID: hex.EncodeToString(c.AuthorityKeyId),
		NotBefore: c.NotBefore, NotAft: c.NotAfter, Fingerprint: Fingerprint(c),
	}
	if c.IsCA {
		e.explainAuthority(c)
	} else {
		e.explainLeaf(c)
	}
	e.Issuer = explainIssuer(c, beside)
	switch {
	case now.Before(c.NotBefore):
		e.problem("it is not valid before %s: check this host's clock", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		e.problem("it ended on %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	return e
}

func (e *Explanation) problem(format string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

func (e *Explanation) may(format string, args ...any) {
	e.May = append(e.May, fmt.Sprintf(format, args...))
}

func (e *Explanation) explainAuthority(c *x509.Certificate) {
	a, err := ReadAuthority(c)
	if err != nil {
		e.Who = fmt.Sprintf("an authority of another make, %q", c.Subject.String())
		e.problem("it is not an authority of an edgesync platform: %v", err)
		return
	}
	switch a.Kind {
	case KindRoot:
		e.Who = "the root of trust domain " + a.TrustDomain
		e.may("sign the intermediates of the platform and of every tenant")
	case KindPlatform:
		e.Who = "the intermediate of the platform (" + a.Tenant + ") in trust domain " + a.TrustDomain
		e.may("sign the gateway, the enrolment CA, the platform's sync service and operators")
	case KindTenant:
		e.Who = "the intermediate of tenant " + a.Tenant + " in trust domain " + a.TrustDomain
		e.may("sign identities with names below %s.%s, and nothing else", a.Tenant, a.TrustDomain)
	}
	if a.Kind != KindRoot && !a.constrained(c) {
		e.problem("it lacks path length 0 or its name constraints: no gateway accepts it")
	}
}

func (e *Explanation) explainLeaf(c *x509.Certificate) {
	n, err := leafClaim(c)
	if err != nil {
		e.Who = fmt.Sprintf("nobody a platform knows, %q", c.Subject.CommonName)
		e.problem("its names are not those of an identity: %v", err)
		return
	}
	where := " in partition " + n.partition + " of tenant " + n.tenant + ", trust domain " + n.trustDomain
	switch n.kind {
	case TypeSync:
		e.Who = "sync service " + n.component + where
		e.may("connect to the agent-gateway as %s, and as nobody else", n.component)
		e.may("fetch its own configuration, report its health, and deliver devices of the sources assigned to it")
	case TypeAgent:
		e.Who = "agent " + n.component + where
		e.may("connect to the agent-gateway as %s, and as nobody else", n.component)
	case TypeGateway:
		e.Who = "server " + n.component + " of the platform, trust domain " + n.trustDomain
		e.may("answer as a server to %s", strings.Join(serverNames(c), ", "))
	case TypeOperator:
		e.Who = "operator " + n.component + " of the platform, trust domain " + n.trustDomain
		e.may("call the administration API; its role and its tenant are kept by the platform: see `edgesync operator list`")
	}
	e.explainUse(c, n)
}

// leafClaim is the names of a client's leaf, or of a server's, whose DNS names
// are its own affair.
func leafClaim(c *x509.Certificate) (names, error) {
	if _, uris, _, err := subjectNames(c); err == nil && len(uris) == 1 {
		if n, err := parseSPIFFE(uris[0]); err == nil && n.kind == TypeGateway {
			return n, nil
		}
	}
	n, refusal := leafNames(c)
	if refusal != nil {
		return n, refusal
	}
	return n, nil
}

func (e *Explanation) explainUse(c *x509.Certificate, n names) {
	want, use := x509.ExtKeyUsageClientAuth, "clients"
	if n.kind == TypeGateway {
		want, use = x509.ExtKeyUsageServerAuth, "servers"
	}
	for _, usage := range c.ExtKeyUsage {
		if usage == want {
			return
		}
	}
	e.problem("it is not for %s: connections made with it are refused", use)
}

func serverNames(c *x509.Certificate) []string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

// explainIssuer looks for the issuer beside the certificate.
func explainIssuer(c *x509.Certificate, beside []*x509.Certificate) string {
	if c.IsCA && c.CheckSignatureFrom(c) == nil {
		return "itself: it is a root, and good only for who knows its fingerprint"
	}
	for _, issuer := range beside {
		if c.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if a, err := ReadAuthority(issuer); err == nil {
			switch a.Kind {
			case KindRoot:
				return "the root of trust domain " + a.TrustDomain + " (its signature was checked)"
			case KindPlatform:
				return "the platform's intermediate (its signature was checked)"
			case KindTenant:
				return "the intermediate of tenant " + a.Tenant + " (its signature was checked)"
			}
		}
		return fmt.Sprintf("%q, an authority of another make (its signature was checked)", issuer.Subject.String())
	}
	return fmt.Sprintf("%q by its own word; no certificate of that authority was given to check it", c.Issuer.String())
}

// KeyWords is a certificate's public key in words.
func KeyWords(c *x509.Certificate) string {
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); ok {
		return "ECDSA " + key.Params().Name
	}
	return c.PublicKeyAlgorithm.String()
}
