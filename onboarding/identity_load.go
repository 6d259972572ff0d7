package onboarding

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edgesync/certs"
)

// PathsIn are the usual names in a folder.
func PathsIn(dir string) Paths {
	return Paths{
		Dir: dir, Cert: filepath.Join(dir, CertFile), Key: filepath.Join(dir, KeyFile),
		CA: filepath.Join(dir, CAFile), ClientCA: filepath.Join(dir, CAFile), CAInfo: filepath.Join(dir, CAInfoFile),
	}
}

// FindIdentity is where the identity of a folder is: in it, or in its folder for
// certificates where it is what an edge package holds.
func FindIdentity(dir string) Paths {
	if _, err := os.Lstat(filepath.Join(dir, CertFile)); err != nil {
		if _, err := os.Lstat(filepath.Join(dir, CertDir, CertFile)); err == nil {
			return PathsIn(filepath.Join(dir, CertDir))
		}
	}
	return PathsIn(dir)
}

// LoadLeaf reads the certificate alone.
func LoadLeaf(p Paths) (*x509.Certificate, error) {
	data, err := readSmall(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	chain, err := certs.DecodePEM(data)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", p.Cert, err)
	}
	return chain[0], nil
}

// LoadIdentity reads an identity. A key file that others can read, or that is a
// link, is refused. Whether the certificate is still valid is not looked at.
func LoadIdentity(p Paths) (Identity, error) {
	i, err := loadIdentity(p)
	// Between the reading of two files another process may have replaced both.
	for range 2 {
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotPrivate) {
			break
		}
		i, err = loadIdentity(p)
	}
	return i, err
}

func loadIdentity(p Paths) (Identity, error) {
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
	i.CAURL, _, err = LoadCAInfo(p)
	return i, err
}

// LoadCAInfo reads where an identity is renewed, and the fingerprint of the root
// that is to be trusted there. Both are empty for identities not made by this
// program.
func LoadCAInfo(p Paths) (url, rootFingerprint string, err error) {
	data, err := readSmall(p.CAInfo)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("load CA address: %w", err)
	}
	var info caInfo
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&info); err != nil {
		return "", "", fmt.Errorf("load CA address %s: %w", p.CAInfo, err)
	}
	return info.CAURL, info.RootFingerprint, nil
}

// LoadIdentity loads the config's identity, and refuses one that is another
// component's.
func (c MinimalConfig) LoadIdentity() (Identity, error) {
	i, err := LoadIdentity(c.Paths())
	if err != nil {
		return Identity{}, err
	}
	// A certificate that is not of our making says nothing we could compare.
	if named, err := certs.ReadLeaf(i.Chain[0]); err == nil && named.Component != c.AgentID {
		return Identity{}, fmt.Errorf("load identity: the certificate is for %q, the config's agent_id is %q: use the files of one package", named.Component, c.AgentID)
	}
	return i, nil
}

// ClientTLS loads the config's identity and makes the TLS of a connection to its
// gateway.
func (c MinimalConfig) ClientTLS() (*tls.Config, error) {
	i, err := c.LoadIdentity()
	if err != nil {
		return nil, err
	}
	certificate := i.TLSCertificate()
	return certs.ClientTLS(certs.EncodePEM(i.CAs...), func() *tls.Certificate { return certificate }, c.ServerName())
}
