package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"edgesync/certs"
)

// identify is who is at the other end of a call now, by the connection's
// certificate and nothing else.
func (s *Server) identify(ctx context.Context) (certs.Peer, error) {
	info, ok := connectionOf(ctx)
	if !ok {
		return certs.Peer{}, status.Error(codes.Unauthenticated, "the connection has no identity")
	}
	addr := ""
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		addr = p.Addr.String()
	}
	return certs.PeerFromTLS(info.State, s.issuers, addr, s.now())
}

// admit identifies a caller and has the platform admit it. It is asked at each
// call and at each message of a stream, so that what was revoked since ends there.
func (s *Server) admit(ctx context.Context, operation string) (certs.Peer, error) {
	peer, err := s.identify(ctx)
	if err != nil {
		return peer, s.disowned(ctx, err)
	}
	if peer.Type != certs.TypeSync && peer.Type != certs.TypeAgent {
		return peer, s.violation(ctx, peer, operation, ReasonTypeNotAdmitted,
			fmt.Sprintf("an identity of type %q may not call the agent gateway; use one of type %q", peer.Type, certs.TypeSync))
	}
	return peer, s.platform.Admit(ctx, peer)
}

// disowned answers a caller whose certificate was good at the handshake and is
// not any more.
func (s *Server) disowned(ctx context.Context, err error) error {
	if info, ok := connectionOf(ctx); ok {
		info.connection.expel()
	}
	var refusal *certs.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	s.count(refusal.Reason)
	switch refusal.Reason {
	case certs.ReasonSuspended:
		return status.Error(codes.PermissionDenied, "the tenant is suspended; ask the platform's operator")
	case certs.ReasonUnknownIssuer, certs.ReasonRevoked, certs.ReasonIssuerRetired:
		return status.Error(codes.PermissionDenied, "the certificate is no longer accepted here; onboard the service again")
	case certs.ReasonExpired:
		return status.Error(codes.Unauthenticated, "the certificate has expired; renew it and connect again")
	}
	return status.Error(codes.Unauthenticated, "the certificate is refused: "+refusal.Reason)
}

// call is admit for a unary call, whose agent_id must be the caller's own.
func (s *Server) call(ctx context.Context, operation, agentID string) (certs.Peer, error) {
	if err := s.tooFast(ctx); err != nil {
		return certs.Peer{}, err
	}
	peer, err := s.admit(ctx, operation)
	if err != nil {
		return peer, err
	}
	return peer, s.own(ctx, peer, operation, agentID)
}

// tooFast refuses calls that come too fast over one connection.
func (s *Server) tooFast(ctx context.Context) error {
	info, ok := connectionOf(ctx)
	if !ok || info.connection.calls.Allow() {
		return nil
	}
	s.count(ReasonCallRate)
	return later(5*time.Second, fmt.Sprintf("too many calls over one connection, the limit is %g a second; slow down", s.pace.Load().CallRate))
}

// own checks that agent_id names the caller's own component.
func (s *Server) own(ctx context.Context, peer certs.Peer, operation, agentID string) error {
	switch agentID {
	case peer.Component:
		return nil
	case "":
		return s.refuse(codes.InvalidArgument, ReasonAgentIDMissing,
			fmt.Sprintf("agent_id is empty; it must be %q, as in the certificate", peer.Component))
	}
	return s.violation(ctx, peer, operation, ReasonAgentIDMismatch,
		fmt.Sprintf("agent_id is not %q, which the certificate says; set agent_id in the configuration to it", peer.Component))
}

// actsForTenants tells whether the tenant_id of a stream counts.
func actsForTenants(peer certs.Peer) bool {
	return peer.Class == certs.ClassPlatform && peer.Type == certs.TypeSync
}

// compareTenant ignores the tenant a request names where the certificate decides,
// and tells the platform if it is another.
func (s *Server) compareTenant(ctx context.Context, peer certs.Peer, operation, tenantID, tenantSlug string) {
	if (tenantID == "" || sameID(tenantID, peer.TenantID)) && (tenantSlug == "" || tenantSlug == peer.Tenant) {
		return
	}
	s.metrics.ignored.WithLabelValues("tenant").Inc()
	s.platform.Refused(ctx, peer, operation, ReasonTenantMismatch)
}

// refuse counts and answers what breaks the protocol.
func (s *Server) refuse(code codes.Code, reason, message string) error {
	s.count(reason)
	return status.Error(code, message)
}

// violation is PermissionDenied for a claim that the certificate contradicts: it
// is counted, logged, and kept by the platform.
func (s *Server) violation(ctx context.Context, peer certs.Peer, operation, reason, message string) error {
	s.quiet.Do(func() {
		s.log.Warn("call refused", "operation", operation, "reason", reason, "component", peer.SPIFFE(), "remote_addr", peer.Addr)
	})
	s.platform.Refused(ctx, peer, operation, reason)
	return s.refuse(codes.PermissionDenied, reason, message)
}
