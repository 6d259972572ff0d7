package certs_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"edgesync/certs"
)

func TestValidLabel(t *testing.T) {
	for label, ok := range map[string]bool{
		"a": true, "hq-sync": true, "7": true, "a--b": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "A": false, "a.b": false, "a_b": false, "a/b": false, "a b": false, "a'b": false,
		`a"b`: false, "a\x00": false, "é": false, "аcme": false, "a\n": false, strings.Repeat("a", 64): false,
	} {
		if err := certs.ValidLabel(label); (err == nil) != ok {
			t.Errorf("%q: %v", label, err)
		} else if err != nil && strings.ContainsAny(err.Error(), "\x00\n") {
			t.Errorf("%q: the error shows it raw: %v", label, err)
		}
	}
}

// TestReservedTenantSlugs has the platform's names in any case and in what reads
// like them, and names that only resemble them.
func TestReservedTenantSlugs(t *testing.T) {
	for _, slug := range []string{
		"platform", "agent-gateway", "gateway", "ca", "admin", "root", "system", "localhost",
		"Platform", "PLATFORM", "p1atform", "platf0rm", "plat-form", "platforrn", "pIatform", "рlatform", "platform\u200b",
		"agentgateway", "agent--gateway", "gatevvay", "g4teway", "adm1n", "adrnin", "aclmin", "admln", "r00t", "r-oot", "5ystem", "sy5tem",
		"loca1host", "iocalhost", "10calhost", "c-a", "xn--pltform-1fg", "", "-acme", "a b",
	} {
		if err := certs.ValidTenantSlug(slug); err == nil || !strings.HasPrefix(err.Error(), "check tenant slug") {
			t.Errorf("%q: %v", slug, err)
		}
	}
	for _, slug := range []string{"acme", "platforms", "my-platform", "gateway2", "cal", "administrator", "rooted", "systems", "local", "x"} {
		if err := certs.ValidTenantSlug(slug); err != nil {
			t.Errorf("%q: %v", slug, err)
		}
	}
}

func TestCommonName(t *testing.T) {
	name, err := certs.CommonName("hq-sync", "default", "acme", trustDomain)
	if err != nil || name != "hq-sync.default.acme.edgesync.local" {
		t.Fatalf("%q, %v", name, err)
	}
	fits := strings.Repeat("c", certs.MaxCommonName-len(".p.t."+trustDomain))
	if name, err = certs.CommonName(fits, "p", "t", trustDomain); err != nil || len(name) != certs.MaxCommonName {
		t.Errorf("%q, %v", name, err)
	}
	for _, parts := range [][4]string{
		{fits + "c", "p", "t", trustDomain},
		{"a.b", "p", "t", trustDomain}, {"a", "", "t", trustDomain}, {"a", "p", "T", trustDomain},
		{"a", "p", "t", ""}, {"a", "p", "t", "edgesync..local"}, {"a", "p", "t", ".local"}, {"a", "p", "t", "EdgeSync.local"},
	} {
		if name, err := certs.CommonName(parts[0], parts[1], parts[2], parts[3]); err == nil {
			t.Errorf("%q makes %q", parts, name)
		}
	}
}

// claim is a certificate that says uri of itself and fits it as far as it can:
// nothing is signed, reading is all that is tested.
func claim(uri, commonName string) *x509.Certificate {
	value, err := asn1.Marshal([]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(commonName)},
		{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)},
	})
	if err != nil {
		panic(err)
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName},
		Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}},
	}
}

// FuzzReadLeaf wants whatever is accepted to be spelled in the one way.
func FuzzReadLeaf(f *testing.F) {
	f.Add("spiffe://edgesync.local/sync/acme/default/hq-sync", "hq-sync.default.acme.edgesync.local")
	f.Add("spiffe://edgesync.local/sync/%61cme/default/hq-sync", "hq-sync.default.acme.edgesync.local")
	f.Add("SPIFFE://edgesync.local/agent/acme/default/a#", "a.default.acme.edgesync.local")
	f.Fuzz(func(t *testing.T, uri, commonName string) {
		identity, err := certs.ReadLeaf(claim(uri, commonName))
		if err != nil {
			return
		}
		name, err := certs.CommonName(identity.Component, identity.Partition, identity.Tenant, identity.TrustDomain)
		if err != nil || identity.SPIFFE() != uri || name != commonName {
			t.Fatalf("%q with %q was read as %+v (%v)", uri, commonName, identity, err)
		}
	})
}

// FuzzReadLeafExtension gives the names' extension as bytes.
func FuzzReadLeafExtension(f *testing.F) {
	f.Add(claim("spiffe://edgesync.local/sync/acme/default/hq-sync", "hq-sync.default.acme.edgesync.local").Extensions[0].Value)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, value []byte) {
		leaf := claim("", "hq-sync.default.acme.edgesync.local")
		leaf.Extensions[0].Value = value
		if identity, err := certs.ReadLeaf(leaf); err == nil && identity.Component != "hq-sync" {
			t.Fatalf("%x was read as %+v", value, identity)
		}
	})
}

func FuzzDecodePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		chain, err := certs.DecodePEM(data)
		if err != nil {
			return
		}
		again, err := certs.DecodePEM(certs.EncodePEM(chain...))
		if err != nil || len(again) != len(chain) {
			t.Fatalf("%d certificates came back as %d, %v", len(chain), len(again), err)
		}
	})
}

func TestDecodePEMRefusesAKey(t *testing.T) {
	for _, data := range []string{"", "canary", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"} {
		if _, err := certs.DecodePEM([]byte(data)); err == nil {
			t.Errorf("%q was read", data)
		}
	}
}
