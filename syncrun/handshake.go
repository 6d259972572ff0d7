package syncrun

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// certificateAlerts are the alerts (RFC 8446, section 6.2) by which a server
// refuses the client's certificate, as crypto/tls words them.
var certificateAlerts = []string{
	"bad certificate", "unsupported certificate", "revoked certificate", "expired certificate", "unknown certificate",
	"unknown certificate authority", "access denied", "certificate required",
}

// identified tells a refused identity from a gateway that cannot be reached.
// gRPC reports both as Unavailable, which waiting mends, and what went wrong in
// its text only.
func identified(err error) error {
	if status.Code(err) != codes.Unavailable {
		return err
	}
	// The cause comes quoted, as a part of another text.
	text := strings.ReplaceAll(strings.TrimRight(status.Convert(err).Message(), `"`), `\"`, `"`)
	if _, alert, ok := strings.Cut(text, "remote error: tls: "); ok {
		for _, known := range certificateAlerts {
			if alert == known {
				return status.Error(codes.Unauthenticated, "it refuses this service's certificate ("+alert+
					"): it may be revoked, removed or expired: onboard the service again")
			}
		}
	}
	for _, own := range []string{"tls: failed to verify certificate: ", "verify gateway: "} {
		if _, why, ok := strings.Cut(text, own); ok {
			return status.Error(codes.Unauthenticated, "its certificate is not that of this service's gateway ("+why+
				"): check gateway_addr, or onboard the service again")
		}
	}
	return err
}
