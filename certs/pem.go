package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const pemCertificate = "CERTIFICATE"

// EncodePEM writes certificates as PEM, in order.
func EncodePEM(certificates ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})...)
	}
	return out
}

// DecodePEM reads the certificates of a PEM file, at least one, and refuses
// blocks of another kind: a key does not belong there.
func DecodePEM(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("read certificates: found a %s block", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate %d: %w", len(out)+1, err)
		}
		out, data = append(out, c), rest
	}
	if len(out) == 0 {
		return nil, errors.New("read certificates: there is none")
	}
	return out, nil
}
