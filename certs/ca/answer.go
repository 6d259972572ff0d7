package ca

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	steplog "github.com/smallstep/certificates/api/log"
	"github.com/smallstep/certificates/authority"
	"go.step.sm/crypto/jose"
)

// answer holds what one of step's handlers answered until it is known whether
// that is what is told.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	// err is what the handler said was wrong, in its own words.
	err error
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

func (a *answer) writeTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(max(a.status, http.StatusOK))
	_, _ = w.Write(a.body.Bytes()) // The client is gone: there is nobody to tell.
}

// problem is a refused answer as an error.
func (a *answer) problem() error {
	err := a.err
	if err == nil {
		err = errors.New("step gives no reason")
	}
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	if a.status < http.StatusInternalServerError && !errors.Is(err, ErrRefused) || errors.Is(err, jose.ErrInvalidAudience) {
		return refusedf(err, "")
	}
	return err
}

// serve runs one of step's handlers on the entry's authority.
func (e *entry) serve(step http.HandlerFunc, r *http.Request) *answer {
	a := &answer{header: http.Header{}}
	ctx := authority.NewContext(r.Context(), e.authority)
	ctx = steplog.WithErrorLogger(ctx, func(_ http.ResponseWriter, _ *http.Request, err error) { a.err = err })
	step(a, r.WithContext(ctx))
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a
}

// refusedMessage is all that is told of a refusal, whatever the reason: who
// guesses learns nothing from it.
const refusedMessage = "the token or certificate is not accepted: ask the platform's operator for a new one"

// answer tells what is to be told of an error, and records it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, who caller, operation string, err error) {
	var refused *refusal
	var bad badRequest
	switch {
	case errors.Is(err, ErrUnavailable):
		s.log.Warn("answer enrolment request", "operation", operation, "address", r.RemoteAddr, "error", err)
		w.Header().Set("Retry-After", "30")
		writeError(w, http.StatusServiceUnavailable, "the platform cannot use its database for now: try again later")
	case errors.As(err, &bad):
		s.limits.failed(r.RemoteAddr)
		writeError(w, http.StatusBadRequest, bad.Error())
	case errors.As(err, &refused), errors.Is(err, ErrRefused), errors.Is(err, ErrNotFound):
		s.limits.failed(r.RemoteAddr)
		attempt := Attempt{Subject: who.subject, Addr: r.RemoteAddr, Operation: operation, Reason: err.Error()}
		if who.entry != nil {
			attempt.Tenant = who.entry.tenant.ID
		}
		s.platform.Refused(r.Context(), attempt)
		writeError(w, http.StatusForbidden, refusedMessage)
	default:
		s.log.Error("answer enrolment request", "operation", operation, "address", r.RemoteAddr, "error", err)
		writeError(w, http.StatusInternalServerError, "something went wrong inside the platform: see its log")
	}
}

// writeError writes an error as step's clients read it.
func writeError(w http.ResponseWriter, status int, message string) {
	data, err := json.Marshal(struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}{status, message})
	if err != nil {
		status, data = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // The client is gone: there is nobody to tell.
}
