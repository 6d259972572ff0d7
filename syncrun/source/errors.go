package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"edgesync/proto/shell"
)

// Reason is what kind of thing went wrong with a source.
type Reason string

// The reasons. Each has a next step of its own.
const (
	ReasonName       Reason = "name"
	ReasonConnect    Reason = "connect"
	ReasonTLS        Reason = "tls"
	ReasonTimeout    Reason = "timeout"
	ReasonRedirect   Reason = "redirect"
	ReasonToken      Reason = "token"
	ReasonPermission Reason = "permission"
	ReasonQuery      Reason = "query"
	ReasonRateLimit  Reason = "rate_limit"
	ReasonServer     Reason = "server"
	ReasonSize       Reason = "size"
	// ReasonEgress is an address that a service of the platform may not dial.
	ReasonEgress Reason = "egress"
	// ReasonAnswer is an answer that is not what the API promises.
	ReasonAnswer Reason = "answer"
)

var nextSteps = map[Reason]string{
	ReasonName:       "check the endpoint's host name",
	ReasonConnect:    "check the endpoint and the way to it",
	ReasonTLS:        "check the endpoint's certificate",
	ReasonTimeout:    "check the source's load, or ask for smaller pages",
	ReasonRedirect:   "set the endpoint to where the API is",
	ReasonToken:      "check the source's credentials",
	ReasonPermission: "grant the token permission to read this",
	ReasonQuery:      "check the source's queries",
	ReasonRateLimit:  "sync less often, or ask for larger pages",
	ReasonSize:       "ask for smaller pages",
	ReasonEgress:     "let a sync service on the source's own network run it, or have the operator allow the network with run --egress-allow",
	ReasonServer:     "look into the source's own log",
	ReasonAnswer:     "check that the endpoint is the API of this type of source",
}

// Error is a source that did not answer as it should. Its text holds no
// credential, no token and no query string, and what it quotes of the source is
// cut and free of control characters.
type Error struct {
	Reason Reason
	// Status is the HTTP status, or 0 when there was none.
	Status int
	// RetryAfter is how long the source asked to be left alone, or 0.
	RetryAfter time.Duration
	// Said is what the source itself said of it, or empty.
	Said string

	doing, what string
	// step is the next step where the reason's own is too general.
	step  string
	cause error
}

// Errorf is an Error about something the source did, outside of one request.
func Errorf(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, what: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	var text strings.Builder
	if e.doing != "" {
		text.WriteString(e.doing + ": ")
	}
	text.WriteString(e.what)
	if step := cmp.Or(e.step, nextSteps[e.Reason]); step != "" {
		text.WriteString("; " + step)
	}
	return text.String()
}

// Unwrap is the error below, such as one of package net.
func (e *Error) Unwrap() error { return e.cause }

// RetryAfter is how long the source behind err asked to be left alone, or 0.
func RetryAfter(err error) time.Duration {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.RetryAfter
	}
	return 0
}

// transportError explains why a request got no answer. The text of a
// *url.Error holds the whole URL, so only what it wraps is used.
func (c *Client) transportError(call Call, err error) error {
	var failed *Error
	if errors.As(err, &failed) {
		failed.doing, failed.what = c.doing(call), c.outside(failed.what, call)
		return failed
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	failed = &Error{doing: c.doing(call), cause: err}
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		failed.Reason, failed.what = ReasonTimeout, fmt.Sprintf("no complete answer within %s", shell.Duration(c.options.Timeout))
	case errors.As(err, &dns):
		failed.Reason, failed.what = ReasonName, "the name of the host cannot be resolved"
	case errors.Is(err, http.ErrSchemeMismatch):
		failed.Reason, failed.what, failed.step = ReasonTLS, "no TLS is spoken at this port", "set the endpoint to the port that speaks it, or to http://"
	case strings.Contains(err.Error(), tlsRecord):
		return failed.wantsTLS()
	case isTLS(err):
		failed.Reason, failed.what, failed.step = ReasonTLS, c.outside(err.Error(), call), tlsStep(err)
	default:
		failed.Reason, failed.what = ReasonConnect, c.outside(err.Error(), call)
	}
	return failed
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		header       tls.RecordHeaderError
		alert        tls.AlertError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.As(err, &verification) || errors.As(err, &header) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid)
}

// tlsStep is the way out of a certificate that is not accepted.
func tlsStep(err error) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &authority):
		return "have the host of the sync service trust the authority that signed the endpoint's certificate"
	case errors.As(err, &hostname):
		return "set the endpoint to a name that its certificate is for"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the endpoint's certificate, or set the clock of the sync service's host"
	}
	return ""
}

// tlsRecord is how net/http quotes the alert of a TLS server that was spoken to
// in plain HTTP: RFC 8446, section 5.1, type 21.
const tlsRecord = `malformed HTTP response "\x15\x03`

// wantsTLS makes the error one about a TLS server spoken to in plain HTTP.
func (e *Error) wantsTLS() *Error {
	e.Reason, e.what, e.step = ReasonTLS, "the port speaks TLS, not plain HTTP", "set the endpoint to https://"
	return e
}

// saysTLS tells whether an answer of status 400 is how web servers greet plain
// HTTP where they speak TLS: those of Go and nginx, and Apache's, which says SSL.
func saysTLS(body []byte) bool {
	text := strings.ToLower(string(body[:min(len(body), 4<<10)]))
	return strings.Contains(text, "http request to an https server") || strings.Contains(text, "http request was sent to https port") ||
		strings.Contains(text, "speaking plain http to an ssl-enabled server port")
}

// statusError explains an answer whose status is not 200.
func (c *Client) statusError(call Call, response *http.Response, body []byte) *Error {
	failed := &Error{doing: c.doing(call), Status: response.StatusCode, RetryAfter: c.retryAfter(response.Header)}
	switch status := response.StatusCode; {
	case status == http.StatusBadRequest && c.base.Scheme == "http" && saysTLS(body):
		return failed.wantsTLS()
	case status == http.StatusUnauthorized:
		failed.Reason = ReasonToken
	case status == http.StatusForbidden:
		failed.Reason = ReasonPermission
	case status == http.StatusTooManyRequests:
		failed.Reason = ReasonRateLimit
	case status == http.StatusBadRequest:
		failed.Reason = ReasonQuery
	case status >= http.StatusInternalServerError:
		failed.Reason = ReasonServer
	default:
		failed.Reason = ReasonAnswer
	}
	failed.what = fmt.Sprintf("status %d", response.StatusCode)
	if failed.Said = c.outside(errorMessage(body), call); failed.Said != "" {
		failed.what += fmt.Sprintf(" (%s)", failed.Said)
	}
	return failed
}
