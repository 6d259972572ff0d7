// Package admin is the administration API: a gRPC server over core's use cases,
// and the client that commands and the terminal interface speak through, over
// the state directory's socket, in process, or over mTLS with an operator's
// identity. It maps messages, says who is asking and holds operators to their
// role and tenant; it decides nothing that core decides and knows no store.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"

	"edgesync/certs"
	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

const (
	// stopDeadline is how long calls may go on once the server is to end.
	stopDeadline = 5 * time.Second
	// maxMessage bounds an answer: a list of all sources of a large platform.
	maxMessage = 64 << 20
)

// Server serves the API on any number of listeners.
type Server struct {
	adminv1.UnimplementedAdminServer
	core *core.Core
	log  *slog.Logger
	// live are the calls of operators, to be ended when one is revoked.
	live certs.Live
}

// NewServer makes a server over a core. A nil logger discards.
func NewServer(c *core.Core, logger *slog.Logger) *Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Server{core: c, log: logger}
}

// Serve answers on a listener until ctx ends, then lets calls under way finish
// within a few seconds. Over a unix socket a caller is who the kernel says, and
// only root and the owner of the socket's directory are admitted. It closes the
// listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	admitted, err := ownerOf(listener)
	if err != nil {
		return errors.Join(fmt.Errorf("serve administration on %s: %w", listener.Addr(), err), listener.Close())
	}
	return s.serve(ctx, listener, grpc.Creds(peerCredentials{owner: admitted}), grpc.MaxRecvMsgSize(maxMessage))
}

func (s *Server) serve(ctx context.Context, listener net.Listener, options ...grpc.ServerOption) error {
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	server := s.newServer(stopping, options...)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() {
		select {
		case <-ctx.Done():
		case <-stopping.Done():
		}
		stop()
		finish(server)
	})
	err := server.Serve(listener)
	stop()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve administration on %s: %w", listener.Addr(), err)
	}
	return nil
}

// newServer makes a gRPC server whose streams end when stopping does: a tail of
// events would otherwise hold a graceful stop for ever.
func (s *Server) newServer(stopping context.Context, options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(append(options,
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return s.stream(stopping, service, stream, info, handler)
		}),
	)...)
	adminv1.RegisterAdminServer(server, s)
	return server
}

func finish(server *grpc.Server) {
	cut := time.AfterFunc(stopDeadline, server.Stop)
	defer cut.Stop()
	server.GracefulStop()
}

// maxSocketPath is what fits into a socket's address (unix(7), sun_path).
const maxSocketPath = 107

// CheckSocket says why no socket can be at path, or nil.
func CheckSocket(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("listen on %s: the path has more than %d bytes: choose a shorter state directory", path, maxSocketPath)
	}
	return nil
}

// Listen makes the socket at path, for its owner only. It replaces one that is
// left over, so the caller must hold the lock of the state directory.
func Listen(path string) (net.Listener, error) {
	if err := CheckSocket(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("listen on %s: there is a file that is no socket: move it away", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: remove what is left of the last one: %w", path, err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// Until this is done a stranger could connect, and be refused by who he is.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), listener.Close())
	}
	if err := giveToOwner(listener, path); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), listener.Close())
	}
	return listener, nil
}

// giveToOwner lets the owner of the state directory use a socket that root made.
func giveToOwner(listener net.Listener, path string) error {
	owner, err := ownerOf(listener)
	if err != nil || owner == os.Geteuid() || os.Geteuid() != 0 {
		return err
	}
	return os.Lchown(path, owner, -1)
}
