package source_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edgesync/syncrun/source"
)

// certified serves TLS under a certificate of its own, and gives a client that
// trusts it.
func certified(t *testing.T, names []string, until time.Time) (endpoint string, trusting source.Options) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until, DNSNames: names,
		IsCA: true, BasicConstraintsValid: true,
	}
	if names == nil {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.URL, source.Options{HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}}}
}

// What is wrong with TLS is told with the way out of just that; plain HTTP where
// TLS is spoken was told as a wrong query, or as wrong credentials.
func TestTheWayOutOfTLS(t *testing.T) {
	tomorrow := time.Now().Add(24 * time.Hour)
	good, _ := certified(t, nil, tomorrow)
	named, trustNamed := certified(t, []string{"inventory.example"}, tomorrow)
	old, trustOld := certified(t, nil, time.Now().Add(-time.Hour))
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name, endpoint string
		options        source.Options
		texts          []string
	}{
		{"an unknown authority", good, source.Options{}, []string{"unknown authority", "trust the authority"}},
		{"another name", named, trustNamed, []string{"127.0.0.1", "a name that its certificate is for"}},
		{"an old certificate", old, trustOld, []string{"expired", "renew the endpoint's certificate"}},
		{"TLS to a plain port", "https" + strings.TrimPrefix(plain, "http"), source.Options{}, []string{"no TLS", "http://"}},
		{"plain HTTP to a TLS port", "http" + strings.TrimPrefix(good, "https"), source.Options{}, []string{"speaks TLS", "set the endpoint to https://"}},
		{"plain HTTP to nginx", greeting(t, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<title>400 The plain HTTP request was sent to HTTPS port</title>"),
			source.Options{}, []string{"speaks TLS", "set the endpoint to https://"}},
		{"plain HTTP answered with an alert", greeting(t, "\x15\x03\x01\x00\x02\x02\x46"), source.Options{}, []string{"speaks TLS", "set the endpoint to https://"}},
	} {
		_, err := get(t, newClient(t, c.endpoint, c.options))
		if reason(err) != source.ReasonTLS {
			t.Errorf("%s: %v (reason %q)", c.name, err, reason(err))
			continue
		}
		for _, text := range c.texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s is told as %v", c.name, err)
			}
		}
	}
}

// greeting answers every connection with the same bytes, and closes it.
func greeting(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}
