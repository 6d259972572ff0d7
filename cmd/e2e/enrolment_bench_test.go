package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// BenchmarkEnrol is an enrolment from the minting of its token to its
// certificate, each over a connection of its own and recorded on disk, beside
// what the bare signature costs on the same machine in the same run.
func BenchmarkEnrol(b *testing.B) {
	p := newPlatform(b)
	p.tenant("acme")
	_, csr := request(b, &x509.CertificateRequest{})
	bare := signature(b)
	enrolled := 0
	for b.Loop() {
		// The number of certificates of one component is limited.
		minted := p.mint("acme", fmt.Sprintf("edge-%d", enrolled))
		if status, answer := p.sign(minted.Text, csr); status != http.StatusCreated {
			b.Fatalf("enrol: %d %s", status, answer)
		}
		enrolled++
	}
	each := b.Elapsed() / time.Duration(enrolled)
	b.ReportMetric(float64(time.Second)/float64(each), "enrolments/s")
	b.ReportMetric(float64(each)/float64(bare), "signatures/enrolment")
}

func signature(b *testing.B) time.Duration {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b, err)
	const signatures = 2000
	began := time.Now()
	for range signatures {
		_, err := ecdsa.SignASN1(rand.Reader, key, make([]byte, 32))
		must(b, err)
	}
	return time.Since(began) / signatures
}
