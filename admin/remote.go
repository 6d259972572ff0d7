package admin

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"edgesync/certs"
	adminv1 "edgesync/proto/admin/v1"
)

// What one remote caller can make the server do.
const (
	remoteMessage   = 16 << 20
	remoteStreams   = 64
	remoteHandshake = 10 * time.Second
)

// ServeTLS answers operators from elsewhere until ctx ends, as Serve does.
// certificate is the gateway's own, asked at each handshake.
func (s *Server) ServeTLS(ctx context.Context, listener net.Listener, certificate func() *tls.Certificate) error {
	config := certs.ServerTLS(s.core.Issuers(), certificate, func(addr string, refusal *certs.Refusal) {
		s.log.Warn("client certificate refused", "listener", "admin", "remote_addr", addr, "reason", refusal.Reason, "claim", refusal.Claim)
	})
	defer s.core.OnRevocation(s.live.End)()
	return s.serve(ctx, listener,
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(remoteMessage),
		grpc.MaxConcurrentStreams(remoteStreams),
		grpc.ConnectionTimeout(remoteHandshake),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	)
}

// DialTLS returns a client of a server elsewhere. config is certs.ClientTLS of
// an operator's identity.
func DialTLS(addr string, config *tls.Config, options ...Option) (*Client, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", addr)
	}
	connection, err := connect(dial, credentials.NewTLS(config), optionsOf(options))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return &Client{AdminClient: adminv1.NewAdminClient(connection), connection: connection}, nil
}
