package gateway

import (
	"context"

	"edgesync/certs"
)

// handshakeRefusal is a certificate that a tenant's key did sign and that
// claims what it may not.
type handshakeRefusal struct {
	peer   certs.Peer
	reason string
}

// handshakeRefused is told of each refused certificate, in the handshake.
func (s *Server) handshakeRefused(addr string, refusal *certs.Refusal) {
	s.count(refusal.Reason)
	s.quiet.Do(func() {
		s.log.Warn("client certificate refused", "remote_addr", addr, "reason", refusal.Reason,
			"detail", refusal.Detail, "tenant", refusal.Tenant)
	})
	if !signedByTenant(refusal) {
		return
	}
	peer := certs.Peer{
		Identity: certs.Identity{TenantID: refusal.TenantID, Tenant: refusal.Tenant}, Addr: addr, Claim: refusal.Claim,
	}
	select {
	case s.handshakes <- handshakeRefusal{peer: peer, reason: refusal.Reason}:
	default:
	}
}

// signedByTenant tells whether the refusal is worth keeping among the tenant's
// events: a key of the tenant's signed what it may not, or what was revoked is
// used. An end that came with time, or a suspension, is neither.
func signedByTenant(refusal *certs.Refusal) bool {
	if !refusal.Signed || refusal.Tenant == "" {
		return false
	}
	switch refusal.Reason {
	case certs.ReasonBadName, certs.ReasonNameMismatch, certs.ReasonTrustDomain, certs.ReasonNameConstraint,
		certs.ReasonTenantMismatch, certs.ReasonPlatformOnly, certs.ReasonRevoked, certs.ReasonCertificateCA:
		return true
	}
	return false
}

// reportHandshakes passes refused handshakes on until ctx ends.
func (s *Server) reportHandshakes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case refused := <-s.handshakes:
			s.platform.Refused(ctx, refused.peer, operationConnect, refused.reason)
		}
	}
}
