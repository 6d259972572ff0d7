package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// names is what a leaf calls itself, before anybody has vouched for it.
type names struct {
	trustDomain string
	kind        Type
	tenant      string
	partition   string
	component   string
}

// parseSPIFFE reads spiffe://<trust domain>/<type>/<tenant>/<partition>/<component>
// in its one canonical spelling.
func parseSPIFFE(uri string) (names, error) {
	id, err := spiffeid.FromString(uri)
	if err != nil {
		return names{}, fmt.Errorf("read SPIFFE id %q: %w", uri, err)
	}
	parts := strings.Split(strings.TrimPrefix(id.Path(), "/"), "/")
	if len(parts) != 4 {
		return names{}, fmt.Errorf("read SPIFFE id %q: want four path elements (type, tenant, partition, component), found %d", uri, len(parts))
	}
	n := names{trustDomain: id.TrustDomain().Name(), kind: Type(parts[0]), tenant: parts[1], partition: parts[2], component: parts[3]}
	switch n.kind {
	case TypeSync, TypeAgent, TypeGateway, TypeOperator:
	default:
		return names{}, fmt.Errorf("read SPIFFE id %q: no such type %q", uri, parts[0])
	}
	if _, err := n.commonName(); err != nil {
		return names{}, fmt.Errorf("read SPIFFE id %q: %w", uri, err)
	}
	if n.spiffe() != uri {
		return names{}, fmt.Errorf("read SPIFFE id %q: it is not in canonical form", uri)
	}
	return n, nil
}

func (n names) spiffe() string {
	return Identity{TrustDomain: n.trustDomain, Type: n.kind, Tenant: n.tenant, Partition: n.partition, Component: n.component}.SPIFFE()
}

func (n names) commonName() (string, error) {
	return CommonName(n.component, n.partition, n.tenant, n.trustDomain)
}

// Tags of GeneralName, RFC 5280 section 4.2.1.6.
const (
	tagDNSName = 2
	tagURI     = 6
)

// subjectNames is the subject alternative name extension as it was sent. The
// parsed form of crypto/x509 will not do: url.URL forgets how a URI was spelled,
// and name kinds it does not know are dropped.
func subjectNames(leaf *x509.Certificate) (dns, uris []string, others int, err error) {
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var general []asn1.RawValue
		rest, err := asn1.Unmarshal(extension.Value, &general)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("read subject alternative names: %w", err)
		}
		if len(rest) > 0 {
			return nil, nil, 0, errors.New("read subject alternative names: bytes are left over")
		}
		for _, name := range general {
			switch {
			case name.Class == asn1.ClassContextSpecific && name.Tag == tagDNSName:
				dns = append(dns, string(name.Bytes))
			case name.Class == asn1.ClassContextSpecific && name.Tag == tagURI:
				uris = append(uris, string(name.Bytes))
			default:
				others++
			}
		}
	}
	return dns, uris, others, nil
}

// leafNames reads the names of a client's leaf: one URI, one DNS name and a
// common name, all saying the same.
func leafNames(leaf *x509.Certificate) (names, *Refusal) {
	dns, uris, others, err := subjectNames(leaf)
	if err != nil {
		return names{}, refuse(ReasonBadName, "%v", err)
	}
	if len(uris) != 1 || len(dns) != 1 || others != 0 {
		return names{}, refuse(ReasonBadName, "want one DNS name, one URI and nothing else, found %d, %d and %d", len(dns), len(uris), others)
	}
	// crypto/x509 shows the last of several; others may look at the first.
	if count := commonNames(leaf); count > 1 {
		return names{}, refuse(ReasonBadName, "want one common name, found %d", count)
	}
	n, err := parseSPIFFE(uris[0])
	if err != nil {
		return names{}, refuse(ReasonBadName, "%v", err)
	}
	want, err := n.commonName()
	if err != nil {
		return names{}, refuse(ReasonBadName, "%v", err)
	}
	if dns[0] != want {
		return names{}, refuse(ReasonNameMismatch, "DNS name %q and SPIFFE id %q disagree", dns[0], uris[0])
	}
	if leaf.Subject.CommonName != want {
		return names{}, refuse(ReasonNameMismatch, "common name %q and SPIFFE id %q disagree", leaf.Subject.CommonName, uris[0])
	}
	return n, nil
}

func commonNames(leaf *x509.Certificate) int {
	count := 0
	for _, attribute := range leaf.Subject.Names {
		if attribute.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			count++
		}
	}
	return count
}

// ReadLeaf is what a client's leaf says of itself: its names, found to agree, and
// its serial and end. Nobody has vouched for it; Class and TenantID are zero.
func ReadLeaf(leaf *x509.Certificate) (Identity, error) {
	n, refusal := leafNames(leaf)
	if refusal != nil {
		return Identity{}, refusal
	}
	return n.identity(leaf), nil
}

func (n names) identity(leaf *x509.Certificate) Identity {
	return Identity{
		Type: n.kind, Tenant: n.tenant, Partition: n.partition, Component: n.component, TrustDomain: n.trustDomain,
		Serial: leaf.SerialNumber.String(), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Issuer: hex.EncodeToString(leaf.AuthorityKeyId),
	}
}
