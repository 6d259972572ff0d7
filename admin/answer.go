package admin

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/core"
)

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, release, err := s.enter(ctx, info.FullMethod)
	if err == nil {
		defer release()
		err = confine(ctx, info.FullMethod, req)
	}
	if err != nil {
		return nil, s.told(ctx, info.FullMethod, err)
	}
	answer, err := func() (answer any, err error) {
		defer caught(&err)
		return handler(ctx, req)
	}()
	return answer, s.told(ctx, info.FullMethod, err)
}

func (s *Server) stream(stopping context.Context, service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, release, err := s.enter(stream.Context(), info.FullMethod)
	if err != nil {
		return s.told(ctx, info.FullMethod, err)
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stopping, cancel)()
	err = func() (err error) {
		defer caught(&err)
		return handler(service, boundStream{stream, ctx, info.FullMethod})
	}()
	if stopping.Err() != nil && errors.Is(err, context.Canceled) {
		return status.Error(codes.Unavailable, "serve administration: the platform is stopping: try again")
	}
	return s.told(ctx, info.FullMethod, err)
}

// caught turns a panic into the error of its call: one call's fault does not end the
// platform.
func caught(err *error) {
	if panicked := recover(); panicked != nil {
		*err = fmt.Errorf("call panicked: %v\n%s", panicked, debug.Stack())
	}
}

// boundStream is a stream with a context that also ends with the server and the
// caller's identity, and whose request is held to what the caller may see.
type boundStream struct {
	grpc.ServerStream
	ctx    context.Context
	method string
}

// RecvMsg implements grpc.ServerStream.
func (b boundStream) RecvMsg(message any) error {
	if err := b.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	return confine(b.ctx, b.method, message)
}

// Context implements grpc.ServerStream.
func (b boundStream) Context() context.Context { return b.ctx }

// told is what a caller is told of an error: core's own errors as they are, and
// of any other only that there was one, which is logged.
func (s *Server) told(ctx context.Context, method string, err error) error {
	var known *core.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errRevoked):
		return errRevoked
	case errors.As(err, &known):
		return known.GRPCStatus().Err()
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err // A stream's own, such as a caller that is gone.
	}
	s.log.Error("administration call", "method", path.Base(method), "error", err)
	return status.Error(codes.Internal, "do what was asked: something went wrong inside the platform: see its log")
}
