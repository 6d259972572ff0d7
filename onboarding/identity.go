package onboarding

import (
	"bytes"
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
	"io/fs"
	"os"
	"path/filepath"

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

// replacing marks a folder in which the new files of an identity are all
// written and some may be in place: whoever finds it finishes the move.
const replacing = ".replacing"

// WriteIdentity puts an identity into dir, replacing the one there as a whole:
// when it fails, or the host stops in the middle, LoadIdentity finds the old one
// or the new one and never parts of both.
func WriteIdentity(dir string, i Identity) error {
	files, err := i.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	if err := finishReplacing(dir); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	for n, f := range files {
		if err := writeNext(filepath.Join(dir, f.Path), f.Mode, f.Data); err != nil {
			return fmt.Errorf("write identity: %w", errors.Join(err, dropNext(dir, files[:n])))
		}
	}
	if err := replaceFile(filepath.Join(dir, replacing), 0o600, nil); err != nil {
		return fmt.Errorf("write identity: %w", errors.Join(err, dropNext(dir, files)))
	}
	if err := finishReplacing(dir); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

func dropNext(dir string, files []File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, os.Remove(filepath.Join(dir, f.Path+next)))
	}
	return errors.Join(errs...)
}

// finishReplacing moves what a marked folder still has beside its places.
func finishReplacing(dir string) error {
	marker := filepath.Join(dir, replacing)
	if _, err := os.Lstat(marker); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range []string{CAFile, CAInfoFile, KeyFile, CertFile} {
		path := filepath.Join(dir, name)
		if err := os.Rename(path+next, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move new identity into place (it is tried again at the next start): %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Remove(marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

// PathsIn are the usual names in a folder.
func PathsIn(dir string) Paths {
	return Paths{
		Dir: dir, Cert: filepath.Join(dir, CertFile), Key: filepath.Join(dir, KeyFile),
		CA: filepath.Join(dir, CAFile), ClientCA: filepath.Join(dir, CAFile), CAInfo: filepath.Join(dir, CAInfoFile),
	}
}

// LoadIdentity reads an identity. A key file that others can read, or that is a
// link, is refused. Whether the certificate is still valid is not looked at.
func LoadIdentity(p Paths) (Identity, error) {
	if err := finishReplacing(p.Dir); err != nil {
		return Identity{}, fmt.Errorf("load identity: %w", err)
	}
	keyPEM, err := readPrivate(p.Key)
	if err != nil {
		return Identity{}, fmt.Errorf("load key: %w", err)
	}
	certPEM, err := readSmall(p.Cert)
	if err != nil {
		return Identity{}, fmt.Errorf("load certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return Identity{}, fmt.Errorf("load identity %s with key %s: %w", p.Cert, p.Key, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return Identity{}, fmt.Errorf("load key %s: it cannot sign", p.Key)
	}
	i := Identity{Key: key}
	if i.Chain, err = certs.DecodePEM(certPEM); err != nil {
		return Identity{}, fmt.Errorf("load certificate %s: %w", p.Cert, err)
	}
	caPEM, err := readSmall(p.CA)
	if err != nil {
		return Identity{}, fmt.Errorf("load CA chain: %w", err)
	}
	if i.CAs, err = certs.DecodePEM(caPEM); err != nil {
		return Identity{}, fmt.Errorf("load CA chain %s: %w", p.CA, err)
	}
	i.CAURL, err = readCAURL(p.CAInfo)
	return i, err
}

// readCAURL reads ca.json, which identities not made by this program lack.
func readCAURL(path string) (string, error) {
	data, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("load CA address: %w", err)
	}
	var info caInfo
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&info); err != nil {
		return "", fmt.Errorf("load CA address %s: %w", path, err)
	}
	return info.CAURL, nil
}

// ClientTLS loads the config's identity and makes the TLS of a connection to its
// gateway.
func (c MinimalConfig) ClientTLS() (*tls.Config, error) {
	i, err := LoadIdentity(c.Paths())
	if err != nil {
		return nil, err
	}
	// A certificate that is not of our making says nothing we could compare.
	if named, err := certs.ReadLeaf(i.Chain[0]); err == nil && named.Component != c.AgentID {
		return nil, fmt.Errorf("load identity: the certificate is for %q, the config's agent_id is %q: use the files of one package", named.Component, c.AgentID)
	}
	certificate := i.TLSCertificate()
	return certs.ClientTLS(certs.EncodePEM(i.CAs...), func() *tls.Certificate { return certificate }, c.ServerName())
}
