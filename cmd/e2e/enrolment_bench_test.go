package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkEnrol is an enrolment from the minting of its token to its
// certificate, each over a connection of its own and recorded on disk, beside
// the bare ECDSA signatures that one core of the same machine makes in the same
// run. ratio is how many of those an enrolment is worth.
func BenchmarkEnrol(b *testing.B) {
	for _, how := range []struct {
		name string
		run  func(*testing.B, func())
	}{
		{"one_by_one", func(b *testing.B, enrol func()) {
			for b.Loop() {
				enrol()
			}
		}},
		{"at_once", func(b *testing.B, enrol func()) {
			b.SetParallelism(8)
			b.RunParallel(func(loop *testing.PB) {
				for loop.Next() {
					enrol()
				}
			})
		}},
	} {
		b.Run(how.name, func(b *testing.B) {
			p := newPlatform(b)
			p.tenant("acme")
			_, csr := request(b, &x509.CertificateRequest{})
			bare := signature(b)
			var enrolled atomic.Int64
			how.run(b, func() {
				// The number of certificates of one component is limited.
				minted := p.mint("acme", fmt.Sprintf("edge-%d", enrolled.Add(1)))
				if status, answer := p.sign(minted.Text, csr); status != http.StatusCreated {
					b.Errorf("enrol: %d %s", status, answer)
				}
			})
			each := b.Elapsed() / time.Duration(enrolled.Load())
			b.ReportMetric(float64(time.Second)/float64(each), "enrolments/s")
			b.ReportMetric(float64(time.Second)/float64(bare), "signatures/s")
			b.ReportMetric(float64(each)/float64(bare), "ratio")
		})
	}
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
