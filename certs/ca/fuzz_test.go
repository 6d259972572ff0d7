package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/certificates/api"

	"edgesync/certs/join"
)

// FuzzSignRequest reads the body of a request for a certificate, and what a
// token allows of it.
func FuzzSignRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(map[string]string{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), "ott": "a.b.c",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"csr":"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"}`))
	f.Add([]byte(`{"csr":7,"ott":null,"notAfter":"99999h"}`))
	token := join.Token{Component: "edge", Partition: "default", Tenant: "acme", TrustDomain: "edgesync.local"}
	f.Fuzz(func(t *testing.T, data []byte) {
		var body api.SignRequest
		request, err := http.NewRequest(http.MethodPost, "https://ca/1.0/sign", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if readBody(request, &body) != nil {
			return
		}
		_, _ = join.Parse(body.OTT)
		if checkProof(body.CsrPEM, &body) != nil || checkRequest(token, body.CsrPEM) != nil {
			return
		}
		csr := body.CsrPEM
		if err := csr.CheckSignature(); err != nil || goodKey(csr.PublicKey) != nil {
			t.Errorf("a request that proves nothing is let through: %v", err)
		}
		if cn := csr.Subject.CommonName; cn != "" && cn != "edge.default.acme.edgesync.local" || len(csr.IPAddresses)+len(csr.EmailAddresses) > 0 || len(csr.DNSNames) > 1 || len(csr.URIs) > 1 {
			t.Errorf("a request for %q, %q, %q is let through", cn, csr.DNSNames, csr.URIs)
		}
	})
}

// FuzzRenewalToken reads the proof of a certificate that has ended. Nobody
// guesses one.
func FuzzRenewalToken(f *testing.F) {
	s := &Server{now: time.Now}
	for _, text := range []string{
		"Bearer a.b.c", "Bearer ", "", "Basic eDp5", "Bearer eyJhbGciOiJub25lIn0.e30.",
		"Bearer eyJhbGciOiJFUzI1NiIsIng1Y0luc2VjdXJlIjpbIk1BQT0iXX0.e30.AAAA", "Bearer eyJhbGciOiJFUzI1NiIsIng1Y0luc2VjdXJlIjo3fQ.e30.AAAA",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		request := &http.Request{TLS: &tls.ConnectionState{}, Header: http.Header{"Authorization": {text}}}
		leaf, err := s.presented(request)
		if err == nil {
			t.Errorf("%q proves %s", text, leaf.Subject)
		}
		var refused *refusal
		var bad badRequest
		if !errors.As(err, &refused) && !errors.As(err, &bad) {
			t.Errorf("%q is a failure, not refused: %v", text, err)
		}
		if bearer, found := strings.CutPrefix(text, "Bearer "); found {
			_, _ = endOf(bearer)
		}
	})
}
