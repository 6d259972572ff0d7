package onboarding

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"edgesync/certs"
)

// Identity is a component's key, its certificate and whom it trusts.
type Identity struct {
	Key crypto.Signer
	// Chain is the leaf, then its intermediate.
	Chain []*x509.Certificate
	// CAs are the root and the issuing intermediate.
	CAs []*x509.Certificate
	// CAURL is where the certificate is renewed; empty when nowhere.
	CAURL string
}

// NewKeyAndCSR makes a key and a request for a certificate of it. The request
// names nothing: what the certificate says is for the platform to decide.
func NewKeyAndCSR() (key crypto.Signer, csrDER []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	csrDER, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	return key, csrDER, nil
}

// TLSCertificate is the identity as crypto/tls presents it.
func (i Identity) TLSCertificate() *tls.Certificate {
	c := &tls.Certificate{PrivateKey: i.Key, Leaf: i.Chain[0]}
	for _, cert := range i.Chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// RootFingerprint is the SHA-256 of the root certificate, hex, as step prints it;
// empty when there is no root.
func (i Identity) RootFingerprint() string {
	for _, c := range i.CAs {
		if selfSigned(c) {
			sum := sha256.Sum256(c.Raw)
			return hex.EncodeToString(sum[:])
		}
	}
	return ""
}

// check refuses an identity that could not work: parts of different ones.
func (i Identity) check() error {
	if i.Key == nil || len(i.Chain) < 2 {
		return errors.New("check identity: the key, the certificate or its intermediate is missing")
	}
	if err := ownKey(i.Key, i.Chain[0]); err != nil {
		return err
	}
	if err := i.Chain[0].CheckSignatureFrom(i.Chain[1]); err != nil {
		return fmt.Errorf("check identity: the intermediate did not issue the certificate: %w", err)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range i.CAs {
		if selfSigned(c) {
			roots.AddCert(c)
		} else {
			intermediates.AddCert(c)
		}
	}
	// Whether the certificate is valid now is for the connection to say.
	_, err := i.Chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: i.Chain[0].NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("check identity: the certificate is not of the CAs beside it: %w", err)
	}
	return nil
}

func selfSigned(c *x509.Certificate) bool { return c.CheckSignatureFrom(c) == nil }

func ownKey(key crypto.Signer, leaf *x509.Certificate) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return fmt.Errorf("check identity: the key is not that of certificate %q", leaf.Subject.CommonName)
	}
	return nil
}

type caInfo struct {
	CAURL           string `json:"ca_url"`
	RootFingerprint string `json:"root_fingerprint"`
}

// files are the identity's files in the order they are moved into place.
func (i Identity) files() ([]File, error) {
	if err := i.check(); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	info, err := json.MarshalIndent(caInfo{CAURL: i.CAURL, RootFingerprint: i.RootFingerprint()}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", CAInfoFile, err)
	}
	return []File{
		{Path: CAFile, Mode: 0o644, Data: certs.EncodePEM(i.CAs...)},
		{Path: CAInfoFile, Mode: 0o644, Data: append(info, '\n')},
		{Path: KeyFile, Mode: 0o600, Data: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
		{Path: CertFile, Mode: 0o644, Data: certs.EncodePEM(i.Chain...)},
	}, nil
}
