package admin

import (
	"context"
	"errors"
	"path"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/core"
)

// Why a call is refused: short constants, for events.
const (
	reasonNotOperator = "not_an_operator"
	reasonRole        = "role_too_low"
	reasonReach       = "beyond_its_tenant"
	reasonLocalOnly   = "local_only"
)

var errUnruled = status.Error(codes.Internal, "decide who may do this: there is no rule: see the platform's log")

// caller is who makes a call.
type caller struct {
	name string
	// operator is nil for a caller on the platform's own machine.
	operator *core.OperatorView
}

type callerKey struct{}

func callerOf(ctx context.Context) (caller, bool) {
	c, ok := ctx.Value(callerKey{}).(caller)
	return c, ok
}

// onlyTenant is the slug of the one tenant the caller may see, empty for all.
func onlyTenant(ctx context.Context) string {
	if c, ok := callerOf(ctx); ok && c.operator != nil {
		return c.operator.Tenant
	}
	return ""
}

// identified says who is at the other end of a call and, of an operator, who
// the certificate says it is.
func (s *Server) identified(ctx context.Context) (caller, certs.Peer, error) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, certs.Peer{}, status.Error(codes.Unauthenticated, "identify caller: there is no connection")
	}
	switch info := from.AuthInfo.(type) {
	case localUser:
		return caller{name: info.String()}, certs.Peer{}, nil
	case credentials.TLSInfo:
		identity, err := certs.PeerFromTLS(info.State, s.core.Issuers(), from.Addr.String(), s.core.Issuers().Now())
		var refusal *certs.Refusal
		if errors.As(err, &refusal) {
			return caller{}, identity, status.Error(codes.PermissionDenied, "administer: the certificate is not accepted any more ("+refusal.Reason+"): use the operator's latest identity")
		}
		return caller{name: identity.SPIFFE()}, identity, err
	}
	return caller{}, certs.Peer{}, status.Error(codes.Unauthenticated, "identify caller: the connection has no identity")
}

// enter decides whether a call goes on, before its request is looked at. The
// context it returns knows the caller, and ends when that is revoked.
func (s *Server) enter(ctx context.Context, method string) (context.Context, func(), error) {
	who, identity, err := s.identified(ctx)
	if err != nil {
		return ctx, nil, err
	}
	if identity.Component == "" {
		return context.WithValue(ctx, callerKey{}, who), func() {}, nil
	}
	bound, cancel := context.WithCancelCause(ctx)
	remove := s.live.Add(identity.Identity, func() { cancel(errRevoked) })
	release := func() {
		remove()
		cancel(nil)
	}
	operator, err := s.admit(bound, identity, method)
	if err != nil {
		release()
		return ctx, nil, err
	}
	who.operator = &operator
	return context.WithValue(bound, callerKey{}, who), release, nil
}

// errRevoked is what a call under way is answered when its operator is revoked.
var errRevoked = status.Error(codes.PermissionDenied, "administer: the operator's identity was revoked: ask the platform's administrator")

// admit finds the operator and has the rules decide all that does not depend on
// the request. Whoever is refused is recorded, with what was tried.
func (s *Server) admit(ctx context.Context, identity certs.Peer, method string) (core.OperatorView, error) {
	operation := path.Base(method)
	operator, err := s.core.AdmitOperator(ctx, identity)
	if err != nil {
		if status.Code(err) == codes.PermissionDenied {
			s.core.RefusedAt(ctx, originAPI, identity, operation, reasonNotOperator)
		}
		return operator, err
	}
	r, ok := rules[method]
	if !ok {
		s.log.Error("call without a rule", "method", operation)
		return operator, errUnruled
	}
	reason, message := r.refusal(operator)
	if reason == "" {
		return operator, nil
	}
	s.core.RefusedAt(ctx, originAPI, identity, operation, reason)
	return operator, status.Error(codes.PermissionDenied, phrase(operation)+": refused: "+message)
}

// phrase is what a call does in words: "create tenant" for CreateTenant.
func phrase(operation string) string {
	var words strings.Builder
	for i, r := range operation {
		if before := i > 0 && unicode.IsLower(rune(operation[i-1])); before && unicode.IsUpper(r) {
			words.WriteByte(' ')
		}
		words.WriteRune(unicode.ToLower(r))
	}
	return words.String()
}

func (r rule) refusal(operator core.OperatorView) (reason, message string) {
	switch {
	case r.reach == local:
		return reasonLocalOnly, "it is done on the platform's own machine only"
	case r.reach == platform && operator.Tenant != "":
		return reasonReach, "operator " + operator.Name + " is limited to tenant " + operator.Tenant + ": ask an administrator of the platform"
	case !operator.May(r.role):
		return reasonRole, "it takes the role " + string(r.role) + " and operator " + operator.Name + " has the role " + string(operator.Role) + ": ask the platform's administrator"
	}
	return "", ""
}

// confine holds the request to what the caller may see.
func confine(ctx context.Context, method string, request any) error {
	who, ok := callerOf(ctx)
	if !ok || who.operator == nil || who.operator.Tenant == "" || rules[method].reach != tenant {
		return nil
	}
	return rules[method].confine(request, who.operator.Tenant)
}
