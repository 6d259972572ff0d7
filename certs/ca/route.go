package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/api"
	"go.step.sm/crypto/jose"

	"edgesync/certs"
)

// maxRenewTokenLife bounds tokens for renewal: one that was used is remembered
// until it ends.
const maxRenewTokenLife = time.Hour

// handler has step's paths, at the top and below /1.0, and no others: no list of
// provisioners, no SSH.
func (s *Server) handler() http.Handler {
	router := chi.NewRouter()
	mount := func(r chi.Router) {
		r.Get("/health", s.own(api.Health))
		r.Get("/version", s.own(api.Version))
		r.Get("/root/{sha}", s.own(api.Root))
		r.Get("/roots", s.own(api.Roots))
		r.Get("/roots.pem", s.own(api.RootsPEM))
		r.Get("/crl", s.limited("list revoked certificates", s.crl))
		r.Post("/sign", s.limited("enrol", s.sign))
		r.Post("/renew", s.limited("renew certificate", s.renew))
		r.Post("/rekey", s.limited("renew certificate", s.rekey))
		r.Post("/revoke", s.limited("revoke certificate", s.revoke))
	}
	// Step's clients read errors in this form only.
	router.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "this enrolment CA does not offer that")
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusMethodNotAllowed, "this enrolment CA offers that by another method")
	})
	mount(router)
	router.Route("/1.0", mount)
	return router
}

// own serves what is the same for every tenant.
func (s *Server) own(step http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tenant, err := s.platform.Own(r.Context())
		if err == nil {
			var e *entry
			if e, err = s.entry(r.Context(), tenant); err == nil {
				e.serve(step, r).writeTo(w)
				return
			}
		}
		s.answer(w, r, caller{}, "answer", err)
	}
}

// caller is what is known of who asks, for the record of a refusal.
type caller struct {
	entry   *entry
	subject string
}

// limited serves what can be refused: the refused requests of an address are
// counted, and one that has too many is not listened to.
func (s *Server) limited(operation string, handle func(http.ResponseWriter, *http.Request) (caller, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.limits.allow(r.RemoteAddr) {
			w.Header().Set("Retry-After", "60")
			writeError(w, http.StatusTooManyRequests, "too many refused requests from this address: try again later")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if who, err := handle(w, r); err != nil {
			s.answer(w, r, who, operation, err)
		}
	}
}

// bySNI is the tenant whose name the client asked for in the handshake; ok is
// false on the bare host. The Host header has no say.
func (s *Server) bySNI(r *http.Request) (tenant Tenant, ok bool, err error) {
	slug, found := strings.CutSuffix(strings.ToLower(r.TLS.ServerName), "."+s.host)
	if !found {
		return Tenant{}, false, nil
	}
	if certs.ValidLabel(slug) != nil {
		return Tenant{}, true, ErrNotFound
	}
	tenant, err = s.platform.TenantBySlug(r.Context(), slug)
	return tenant, true, err
}

// byToken is the entry for a token: the handshake's tenant, or on the bare host
// the one whose key the token names.
func (s *Server) byToken(r *http.Request, keyID string) (*entry, error) {
	tenant, ok, err := s.bySNI(r)
	if !ok {
		tenant, err = s.platform.TenantByTokenKey(r.Context(), keyID)
	}
	if err != nil {
		return nil, err
	}
	e, err := s.entry(r.Context(), tenant)
	if err == nil && e.tenant.TokenKeyID != keyID {
		return nil, ErrNotFound
	}
	return e, err
}

// byCertificate is the entry of the tenant whose key issued the certificate the
// client connected with, or that a renewal token carries.
func (s *Server) byCertificate(r *http.Request) (caller, error) {
	leaf, err := s.presented(r)
	if err != nil {
		return caller{}, err
	}
	identity, err := s.identify(leaf)
	if err != nil {
		return s.knownBy(r.Context(), err), refusedf(err, "")
	}
	who := caller{subject: identity.SPIFFE()}
	tenant, err := s.platform.TenantByID(r.Context(), identity.TenantID)
	if err == nil {
		who.entry, err = s.entry(r.Context(), tenant)
	}
	if err != nil {
		return who, err
	}
	if asked, ok, err := s.bySNI(r); ok && (err != nil || asked.ID != tenant.ID) {
		return who, refusedf(err, "it is another tenant's")
	}
	return who, s.platform.Recognise(r.Context(), tenant.ID, identity)
}

// knownBy is the tenant a refused certificate is of, where that is certain
// enough for a log.
func (s *Server) knownBy(ctx context.Context, err error) caller {
	var refusal *certs.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != certs.ReasonRevoked {
		return caller{}
	}
	tenant, err := s.platform.TenantByID(ctx, refusal.TenantID)
	if err != nil {
		return caller{}
	}
	// It was revoked by its serial, after all else had been found in order.
	return caller{entry: &entry{tenant: tenant}, subject: refusal.Claim}
}

// presented is the certificate of the handshake, else that of a renewal token.
func (s *Server) presented(r *http.Request) (*x509.Certificate, error) {
	if len(r.TLS.PeerCertificates) > 0 {
		return r.TLS.PeerCertificates[0], nil
	}
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return nil, badRequest("there is no client certificate")
	}
	token, err := jose.ParseSigned(text)
	if err != nil || len(token.Headers) != 1 {
		return nil, refusedf(nil, "the renewal token is damaged")
	}
	chain, err := jose.GetX5cInsecureHeader(token)
	if err != nil || len(chain) == 0 {
		return nil, refusedf(nil, "the renewal token carries no certificate")
	}
	if goodKey(chain[0].PublicKey) != nil {
		return nil, refusedf(nil, "the renewal token's certificate is of a key that is not accepted")
	}
	var proved jose.Claims
	if err := token.Claims(chain[0].PublicKey, &proved); err != nil {
		return nil, refusedf(nil, "the renewal token is not signed by the certificate's key")
	}
	end, err := endOf(text)
	if err != nil || end.Sub(s.now()) > maxRenewTokenLife {
		return nil, refusedf(err, "the renewal token is good for too long")
	}
	return chain[0], nil
}

// refusal is an error for who is refused; the reason is for the log.
type refusal struct {
	reason string
	cause  error
}

func refusedf(cause error, format string, args ...any) *refusal {
	return &refusal{reason: fmt.Sprintf(format, args...), cause: cause}
}

// Error implements error.
func (r *refusal) Error() string {
	switch {
	case r.cause == nil:
		return r.reason
	case r.reason == "":
		return r.cause.Error()
	}
	return r.reason + ": " + r.cause.Error()
}

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.cause }

// badRequest is an error for who asks wrongly; it may be told.
type badRequest string

// Error implements error.
func (b badRequest) Error() string { return string(b) }
