package ca

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/smallstep/certificates/api"
	"github.com/smallstep/certificates/authority"
	"go.step.sm/crypto/jose"

	"edgesync/certs/join"
)

// maxBody is far above what a request for a certificate needs.
const maxBody = 64 << 10

// sign exchanges a join token for a certificate. Everything that can be wrong
// with the token or the request is found before the token is used up.
func (s *Server) sign(w http.ResponseWriter, r *http.Request) (caller, error) {
	var body api.SignRequest
	if err := readBody(r, &body); err != nil {
		return caller{}, err
	}
	unproved, err := join.Parse(body.OTT)
	if err != nil {
		return caller{}, refusedf(err, "")
	}
	e, err := s.byToken(r, unproved.KeyID)
	if err != nil {
		return caller{}, err
	}
	token, err := join.Verify(body.OTT, e.tokenKey, s.now())
	if err != nil {
		return caller{entry: e}, refusedf(err, "")
	}
	who := caller{entry: e, subject: token.SPIFFE()}
	if err := checkToken(e, token); err != nil {
		return who, err
	}
	// Only for who has a token is anything costly done with what was sent.
	if err := checkProof(body.CsrPEM, &body); err != nil {
		return who, err
	}
	if err := checkRequest(token, body.CsrPEM); err != nil {
		return who, err
	}
	err = s.platform.Redeem(r.Context(), e.tenant.ID, Redemption{
		Token: token, Key: KeyHash(body.CsrPEM.RawSubjectPublicKeyInfo), Addr: r.RemoteAddr,
	})
	if err != nil {
		return who, fmt.Errorf("redeem join token: %w", err)
	}
	return who, s.step(w, r, e, api.Sign, true, api.SignRequest{CsrPEM: body.CsrPEM, OTT: body.OTT})
}

// checkToken compares what the tenant's key has signed with whose key it is.
func checkToken(e *entry, token join.Token) error {
	if token.Issuer != e.tenant.Slug || token.Tenant != e.tenant.Slug || token.TrustDomain != e.tenant.TrustDomain {
		return refusedf(nil, "the token is not of tenant %s", e.tenant.Slug)
	}
	return nil
}

// checkRequest wants a request to ask for the token's names or for none. What
// else it asks for is ignored: the template says what a certificate is.
func checkRequest(token join.Token, csr api.CertificateRequest) error {
	name, err := token.CommonName()
	if err != nil {
		return refusedf(err, "")
	}
	uris := make([]string, len(csr.URIs))
	for i, uri := range csr.URIs {
		uris[i] = uri.String()
	}
	alike := func(asked []string, want string) bool { return len(asked) == 0 || slices.Equal(asked, []string{want}) }
	cn := csr.Subject.CommonName
	if cn != "" && cn != name || !alike(csr.DNSNames, name) || !alike(uris, token.SPIFFE()) ||
		len(csr.EmailAddresses)+len(csr.IPAddresses) > 0 {
		return refusedf(nil, "the certificate request asks for other names than the token's")
	}
	return nil
}

// checkProof wants a certificate request to be signed by its key. Keys are looked
// at first: the larger one is, the longer its signature takes.
func checkProof(csr api.CertificateRequest, body interface{ Validate() error }) error {
	if csr.CertificateRequest == nil {
		return badRequest("there is no certificate request")
	}
	if err := goodKey(csr.PublicKey); err != nil {
		return badRequest(err.Error())
	}
	if body.Validate() != nil {
		return badRequest("the certificate request is damaged or not signed by its key")
	}
	return nil
}

// renew signs the same certificate for the same key anew: for step's own
// clients, and after its end.
func (s *Server) renew(w http.ResponseWriter, r *http.Request) (caller, error) {
	who, err := s.byCertificate(r)
	if err != nil {
		return who, err
	}
	return who, s.step(w, r, who.entry, api.Renew, false, nil)
}

// rekey signs the same certificate for a new key.
func (s *Server) rekey(w http.ResponseWriter, r *http.Request) (caller, error) {
	if len(r.TLS.PeerCertificates) == 0 {
		return caller{}, badRequest("there is no client certificate")
	}
	who, err := s.byCertificate(r)
	if err != nil {
		return who, err
	}
	var body api.RekeyRequest
	if err := readBody(r, &body); err != nil {
		return who, err
	}
	if err := checkProof(body.CsrPEM, &body); err != nil {
		return who, err
	}
	return who, s.step(w, r, who.entry, api.Rekey, false, body)
}

// revoke ends a certificate: its own, over the connection it was made with, or
// the one a token of the tenant's names.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) (caller, error) {
	var body api.RevokeRequest
	if err := readBody(r, &body); err != nil {
		return caller{}, err
	}
	if body.OTT == "" {
		who, err := s.byCertificate(r)
		if err != nil {
			return who, err
		}
		return who, s.step(w, r, who.entry, api.Revoke, false, body)
	}
	if len(body.OTT) > join.MaxText {
		return caller{}, refusedf(nil, "the token is too long")
	}
	token, err := jose.ParseSigned(body.OTT)
	if err != nil || len(token.Headers) != 1 {
		return caller{}, refusedf(nil, "the token is damaged")
	}
	e, err := s.byToken(r, token.Headers[0].KeyID)
	if err != nil {
		return caller{}, err
	}
	var claims jose.Claims
	if err := token.Claims(e.tokenKey, &claims); err != nil {
		return caller{entry: e}, refusedf(nil, "the token is not signed by the tenant's key")
	}
	return caller{entry: e}, s.step(w, r, e, api.Revoke, false, body)
}

// crl is the list of the handshake's tenant, or on the bare host the platform's.
func (s *Server) crl(w http.ResponseWriter, r *http.Request) (caller, error) {
	tenant, ok, err := s.bySNI(r)
	if !ok {
		tenant, err = s.platform.Own(r.Context())
	}
	if err != nil {
		return caller{}, err
	}
	e, err := s.entry(r.Context(), tenant)
	if err != nil {
		return caller{}, err
	}
	return caller{entry: e}, s.step(w, r, e, api.CRL, false, nil)
}

func readBody(r *http.Request, into any) error {
	data, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return badRequest("the request is too large")
	}
	if err != nil {
		return badRequest("the request ends early")
	}
	if json.Unmarshal(data, into) != nil {
		return badRequest("the request is not what it should be")
	}
	return nil
}

// step hands a request that was found good to step's own handler. skipReuse is
// for tokens that were redeemed already.
func (s *Server) step(w http.ResponseWriter, r *http.Request, e *entry, handler http.HandlerFunc, skipReuse bool, body any) error {
	ctx := r.Context()
	if skipReuse {
		ctx = authority.NewContextWithSkipTokenReuse(ctx)
	}
	r = r.Clone(ctx)
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write request again: %w", err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	}
	answer := e.serve(handler, r)
	if answer.status < http.StatusBadRequest {
		answer.writeTo(w)
		return nil
	}
	return answer.problem()
}
