package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// Client is a connection to the administration API.
type Client struct {
	adminv1.AdminClient
	connection *grpc.ClientConn
	// stop ends the server of a client in process.
	stop func() error
}

// Calls is what the client's calls go through, for a client of another make.
func (c *Client) Calls() grpc.ClientConnInterface { return c.connection }

// Close ends the connection, and the server where that is in process.
func (c *Client) Close() error {
	err := c.connection.Close()
	if c.stop != nil {
		err = errors.Join(err, c.stop())
	}
	return err
}

// Option changes how a Client is made.
type Option func(*clientOptions)

type clientOptions struct {
	origin string
	log    *slog.Logger
}

// WithOrigin says through what the caller acts, "cli" or "tui"; events keep it.
// Without it the origin is "api".
func WithOrigin(origin string) Option {
	return func(o *clientOptions) { o.origin = origin }
}

// WithLogger is where a server in process logs what it does not tell.
func WithLogger(logger *slog.Logger) Option {
	return func(o *clientOptions) { o.log = logger }
}

func optionsOf(options []Option) clientOptions {
	o := clientOptions{origin: originAPI}
	for _, option := range options {
		option(&o)
	}
	return o
}

// Dial returns a client of the server that listens on a socket. It connects
// with the first call, which fails with Unavailable where nobody listens.
func Dial(socket string, options ...Option) (*Client, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}
	connection, err := connect(dial, insecure.NewCredentials(), optionsOf(options))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	return &Client{AdminClient: adminv1.NewAdminClient(connection), connection: connection}, nil
}

// InProcess returns a client of a server of its own over a core, without a
// socket between. Close ends both.
func InProcess(c *core.Core, options ...Option) (*Client, error) {
	const buffer = 1 << 20
	o := optionsOf(options)
	listener := bufconn.Listen(buffer)
	connection, err := connect(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }, insecure.NewCredentials(), o)
	if err != nil {
		return nil, fmt.Errorf("connect in process: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	var failure error
	serving.Go(func() { failure = NewServer(c, o.log).Serve(ctx, listener) })
	stop := func() error {
		cancel()
		serving.Wait()
		return failure
	}
	return &Client{AdminClient: adminv1.NewAdminClient(connection), connection: connection, stop: stop}, nil
}

func connect(dial func(context.Context, string) (net.Conn, error), transport credentials.TransportCredentials, o clientOptions) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///admin",
		grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return unserved(invoke(metadata.AppendToOutgoingContext(ctx, originHeader, o.origin), method, req, reply, cc, opts...))
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return stream(metadata.AppendToOutgoingContext(ctx, originHeader, o.origin), desc, cc, method, opts...)
		}),
	)
}

// unserved says what to do about a call that the other end does not know.
func unserved(err error) error {
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	return status.Errorf(codes.Unimplemented, "call the administration API: %s: name the address of `edgesync serve --admin-listen`, of a platform of this version", status.Convert(err).Message())
}
