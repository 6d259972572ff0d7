// Package client is the edge's side of the enrolment CA: it exchanges a join
// token for a certificate, renews certificates, and keeps one renewed. Keys are
// made here and never leave. It writes no files: its callers do.
package client

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"edgesync/certs"
	"edgesync/certs/join"
)

// requestTimeout bounds one request to the CA.
const requestTimeout = 30 * time.Second

// maxAnswer is far above what a chain of certificates needs.
const maxAnswer = 256 << 10

// Credential is a key, its certificate and whom its owner trusts.
type Credential struct {
	Key crypto.Signer
	// Chain is the leaf, then its intermediate.
	Chain []*x509.Certificate
	// Roots are the roots that are trusted.
	Roots []*x509.Certificate
	// CAURL is https://host:port of the enrolment CA.
	CAURL string
}

// TLS is the credential as crypto/tls presents it.
func (c Credential) TLS() *tls.Certificate {
	out := &tls.Certificate{PrivateKey: c.Key, Leaf: c.Chain[0]}
	for _, one := range c.Chain {
		out.Certificate = append(out.Certificate, one.Raw)
	}
	return out
}

// RefusedError is the CA's refusal: asking again will not help.
type RefusedError struct {
	// Status is the HTTP status, Message what the CA says. Without a status it is the
	// handshake that was refused, because of the certificate.
	Status  int
	Message string
}

// Error quotes what the CA says.
func (e *RefusedError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("the enrolment CA refuses the certificate (%s)", e.Message)
	}
	return fmt.Sprintf("the enrolment CA refuses (%d): %q", e.Status, e.Message)
}

// ErrUntrusted is in the error for a CA that is not the one a token or an
// identity names.
var ErrUntrusted = errors.New("the enrolment CA is not the one that is trusted")

// ErrUnavailable is in the error for a CA that cannot answer for now: asking again
// later may help.
var ErrUnavailable = errors.New("try again later")

// ErrUnanswered is in the error for a CA that gave no answer. What was asked may
// have been done all the same; it may be asked again.
var ErrUnanswered = errors.New("the enrolment CA does not answer")

// ErrTokenEnded is in the error for a join token that is used too late.
var ErrTokenEnded = errors.New("it ended")

// Client asks the CA. The zero value works.
type Client struct {
	// Now is the clock, time.Now unless set.
	Now func() time.Time
	// Dial opens connections, by default over TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// NewKey makes the key of an enrolment, just before its token is sent. Unless set
	// the key is gone with the process, and with it the answer to who asks again.
	NewKey func() (crypto.Signer, error)
}

func (c Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Enrol exchanges a join token for a certificate of a key made here. The root is
// the one the token pins, whoever answers.
func (c Client) Enrol(ctx context.Context, text string) (Credential, join.Token, error) {
	token, err := join.Parse(text)
	if err != nil {
		return Credential{}, join.Token{}, err
	}
	if !c.now().Before(token.ExpiresAt) {
		return Credential{}, token, fmt.Errorf("use join token: %w at %s: ask the platform's operator for a new one", ErrTokenEnded, token.ExpiresAt.Format(time.RFC3339))
	}
	root, err := c.fetchRoot(ctx, token.CAURL, token.RootFingerprint)
	var refused *RefusedError
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: the token is not of this platform, or its root was replaced since: ask the platform's operator for a new one", err)
	}
	if err != nil {
		return Credential{}, token, fmt.Errorf("fetch root certificate from %s: %w", token.CAURL, err)
	}
	name, err := token.CommonName()
	if err != nil {
		return Credential{}, token, err
	}
	made := Credential{Roots: []*x509.Certificate{root}, CAURL: token.CAURL}
	if made.Roots, err = c.roots(ctx, made); err != nil {
		return Credential{}, token, fmt.Errorf("fetch root certificates from %s: %w", token.CAURL, err)
	}
	newKey := c.NewKey
	if newKey == nil {
		newKey = makeKey
	}
	if made.Key, err = newKey(); err != nil {
		return Credential{}, token, err
	}
	csr, err := signingRequest(made.Key, name, token.SPIFFE())
	if err != nil {
		return Credential{}, token, err
	}
	made.Chain, err = c.redeem(ctx, made, csr, text)
	if err == nil {
		err = made.check(token.SPIFFE(), c.now())
	}
	if err != nil {
		return Credential{}, token, fmt.Errorf("enrol with %s: %w", token.CAURL, err)
	}
	return made, token, nil
}

// The pauses before a token is sent again whose answer was lost.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 4 * time.Second
)

// redeem sends a token, again where the answer is lost: the CA has spent it then,
// and gives the same key, and no other, another certificate for ten minutes.
func (c Client) redeem(ctx context.Context, made Credential, csr, text string) ([]*x509.Certificate, error) {
	for pause := firstPause; ; pause *= 2 {
		chain, err := c.post(ctx, made, nil, "/1.0/sign", "", map[string]string{"csr": csr, "ott": text})
		if !errors.Is(err, ErrUnanswered) || pause > lastPause {
			return chain, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func makeKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// signingRequest asks for a certificate of a key.
func signingRequest(key crypto.Signer, name, spiffe string) (string, error) {
	uri, err := url.Parse(spiffe)
	if err != nil {
		return "", fmt.Errorf("make certificate request: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, URIs: []*url.URL{uri},
	}, key)
	if err != nil {
		return "", fmt.Errorf("make certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// check refuses an answer that is not a certificate of our key, for us, under a
// root we trust.
func (c Credential) check(spiffe string, now time.Time) error {
	if len(c.Chain) < 2 {
		return errors.New("check certificate: its intermediate is missing")
	}
	leaf := c.Chain[0]
	if public, ok := c.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return errors.New("check certificate: it is not of the key that was made")
	}
	named, err := certs.ReadLeaf(leaf)
	if err != nil {
		return fmt.Errorf("check certificate: %w", err)
	}
	if named.SPIFFE() != spiffe {
		return fmt.Errorf("check certificate: it is for %s, not for %s", named.SPIFFE(), spiffe)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range c.Roots {
		roots.AddCert(root)
	}
	intermediates.AddCert(c.Chain[1])
	// The host's clock may be behind the CA's by a little.
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("check certificate: it is good from %s to %s and the clock of this host says %s: set the clock",
			leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("check certificate: %w: %w", ErrUntrusted, err)
	}
	return nil
}

// fetchRoot gets the root certificate from anybody: only its fingerprint counts.
func (c Client) fetchRoot(ctx context.Context, caURL, fingerprint string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	transport := c.transport(&tls.Config{
		MinVersion: tls.VersionTLS13,
		// Whoever answers is not trusted: what is sent is public, and what is
		// answered is compared with the token's pin.
		InsecureSkipVerify: true,
	})
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, caURL+"/1.0/root/"+fingerprint, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		CA string `json:"ca"`
	}
	if err := exchange(transport, request, &answer); err != nil {
		return nil, err
	}
	found, err := certs.DecodePEM([]byte(answer.CA))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(found[0].Raw); hex.EncodeToString(sum[:]) != fingerprint {
		return nil, fmt.Errorf("%w: its root has the fingerprint %x, the join token pins %s", ErrUntrusted, sum, fingerprint)
	}
	return found[0], nil
}

// post sends a request over a connection that only the platform's own enrolment
// CA can answer, and returns the chain in the answer. present, if not nil, is the
// certificate to connect with.
func (c Client) post(ctx context.Context, credential Credential, present *tls.Certificate, path, bearer string, body any) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	transport, address, err := c.trusted(credential, present)
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	var answer struct {
		Chain []string `json:"certChain"`
	}
	if err := exchange(transport, request, &answer); err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, one := range answer.Chain {
		decoded, err := certs.DecodePEM([]byte(one))
		if err != nil {
			return nil, err
		}
		chain = append(chain, decoded...)
	}
	return chain, nil
}

// trusted is how to reach the platform's own enrolment CA, and its address.
func (c Client) trusted(credential Credential, present *tls.Certificate) (*http.Transport, string, error) {
	address, err := url.Parse(credential.CAURL)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return nil, "", fmt.Errorf("%q is no https address of an enrolment CA", credential.CAURL)
	}
	if present == nil {
		present = &tls.Certificate{}
	}
	config, err := certs.ClientTLS(certs.EncodePEM(credential.Roots...), func() *tls.Certificate { return present }, address.Hostname())
	if err != nil {
		return nil, "", err
	}
	config.NextProtos, config.Time = nil, c.now
	return c.transport(config), address.Scheme + "://" + address.Host, nil
}

func (c Client) transport(config *tls.Config) *http.Transport {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	// No proxy from the environment: a token is sent to the CA and nobody else.
	return &http.Transport{TLSClientConfig: config, DialContext: dial, TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true}
}

// exchange follows no redirect and reads no more than a real answer has.
func exchange(transport *http.Transport, request *http.Request, into any) error {
	response, err := transport.RoundTrip(request)
	if err != nil {
		var unknown *tls.CertificateVerificationError
		if errors.As(err, &unknown) {
			return fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		return unanswered(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return unanswered(fmt.Errorf("read answer: %w", err))
	}
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return fmt.Errorf("the enrolment CA answers with status %d: %w", status, ErrUnavailable)
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		var refusal struct {
			Message string `json:"message"`
		}
		// Whatever else it is, it is a refusal.
		_ = json.Unmarshal(data, &refusal)
		return &RefusedError{Status: status, Message: refusal.Message[:min(len(refusal.Message), 256)]}
	case status != http.StatusOK && status != http.StatusCreated:
		return fmt.Errorf("the enrolment CA answers with status %d", status)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// unanswered is what becomes of an error of the connection.
func unanswered(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	// An alert (RFC 8446, section 6.2), which crypto/tls has no other word for.
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" && strings.Contains(alert.Err.Error(), "certificate") {
		return &RefusedError{Message: strings.TrimPrefix(alert.Err.Error(), "tls: ")}
	}
	return fmt.Errorf("%w: %w", ErrUnanswered, err)
}
