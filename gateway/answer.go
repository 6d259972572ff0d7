package gateway

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// unary wraps every unary call.
func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	arrived(ctx)
	ctx, release := bound(ctx)
	defer release()
	operation := path.Base(info.FullMethod)
	defer func() {
		if err = s.answer(ctx, operation, err, recover()); err != nil {
			answer = nil
		}
	}()
	return handler(ctx, request)
}

// streaming wraps every streaming call.
func (s *Server) streaming(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx, release := bound(stream.Context())
	defer release()
	defer func() { err = s.answer(ctx, path.Base(info.FullMethod), err, recover()) }()
	return handler(server, boundStream{stream, ctx})
}

// answer is what a caller is told of err or of a panic, counted and logged where
// the fault is the platform's.
func (s *Server) answer(ctx context.Context, operation string, err error, panicked any) error {
	if panicked != nil {
		s.log.Error("call panicked", "operation", operation, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		err = errInternal
	}
	st := s.status(ctx, operation, err)
	s.metrics.calls.WithLabelValues(operation, st.Code().String()).Inc()
	return st.Err()
}

// errInternal is all that a caller is told of a fault of the platform's.
var errInternal = status.Error(codes.Internal, "the platform could not do this and has logged why; try again")

func (s *Server) status(ctx context.Context, operation string, err error) *status.Status {
	var known interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return status.New(codes.OK, "")
	case errors.Is(context.Cause(ctx), errRevoked): // whatever the end of the call looked like from inside
		return status.Convert(errRevoked)
	case errors.As(err, &known) && known.GRPCStatus().Code() != codes.OK:
		return known.GRPCStatus()
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err())
	}
	peer, _ := s.identify(ctx)
	s.log.Error("call failed", "operation", operation, "component", peer.SPIFFE(), "remote_addr", peer.Addr, "error", err.Error())
	return status.Convert(errInternal)
}

// later is ResourceExhausted that a client tries again: without a RetryInfo the
// code is permanent.
func later(after time.Duration, message string) error {
	st, err := status.New(codes.ResourceExhausted, message).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	if err != nil {
		return status.Error(codes.Unavailable, message)
	}
	return st.Err()
}
