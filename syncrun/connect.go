package syncrun

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

// maxConfig is the longest configuration taken: a platform service of 30,000
// sources has about 18 MB.
const maxConfig = 64 << 20

// connect prepares the connection; nothing is dialled before the first call.
// The transport credentials pin the gateway's name.
func connect(o Options) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(o.Transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			// A connection that is half open is noticed while a call is
			// under way; pings without one are an offence to some servers.
			Time:    30 * time.Second,
			Timeout: 10 * time.Second,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 30 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
		// A service config from DNS would be somebody else's word.
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("edgesync/" + o.Version),
	}
	target := "dns:///" + o.Config.GatewayAddr
	if o.Dial != nil {
		target = "passthrough:///" + o.Config.GatewayAddr
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return o.Dial(ctx, address)
		}))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare connection to gateway %s: %w", o.Config.GatewayAddr, err)
	}
	return conn, nil
}
