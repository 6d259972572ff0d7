package core

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/certs/ca"
)

// Error is a refusal or a failure that may be told to whoever asked: its
// message names what failed, on what, why, and what to do next, and holds
// nothing of another tenant. Every other error of this package is internal and
// is logged, never told.
type Error struct {
	Code    codes.Code
	Message string
	// RetryAfter, if set, tells the caller that the same request may succeed
	// later. A ResourceExhausted without it is permanent.
	RetryAfter time.Duration

	cause error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns what caused the error, which is not told to the caller.
func (e *Error) Unwrap() error { return e.cause }

// Is makes what may succeed later ca.ErrUnavailable.
func (e *Error) Is(target error) bool {
	return target == ca.ErrUnavailable && (e.Code == codes.Unavailable || e.RetryAfter > 0)
}

// permanent tells whether the same request would be answered the same again.
func (e *Error) permanent() bool {
	switch e.Code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.NotFound, codes.FailedPrecondition, codes.AlreadyExists:
		return true
	case codes.ResourceExhausted:
		return e.RetryAfter == 0
	}
	return false
}

// GRPCStatus is the error as it goes over the wire.
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(e.Code, e.Message)
	if e.RetryAfter <= 0 {
		return s
	}
	detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	if err != nil {
		return s
	}
	return detailed
}

func invalid(format string, args ...any) *Error {
	return &Error{Code: codes.InvalidArgument, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{Code: codes.NotFound, Message: fmt.Sprintf(format, args...)}
}

func precondition(format string, args ...any) *Error {
	return &Error{Code: codes.FailedPrecondition, Message: fmt.Sprintf(format, args...)}
}

func exists(format string, args ...any) *Error {
	return &Error{Code: codes.AlreadyExists, Message: fmt.Sprintf(format, args...)}
}

func denied(format string, args ...any) *Error {
	return &Error{Code: codes.PermissionDenied, Message: fmt.Sprintf(format, args...)}
}

// Unavailable is for a Store that cannot reach what it keeps the rows in, after
// it has tried for a while: what was asked for may succeed later.
func Unavailable(cause error) *Error {
	return &Error{Code: codes.Unavailable, Message: "use platform: its database cannot be reached: try again later", cause: cause}
}

// ReadOnly is for a Store whose database answers and takes no writes, such as a
// standby's: what was asked for may succeed once it does.
func ReadOnly(cause error) *Error {
	return &Error{Code: codes.Unavailable, cause: cause, Message: "use platform: its database takes no writes: " + ReadOnlyAdvice}
}

// ReadOnlyAdvice is what to do about such a database.
const ReadOnlyAdvice = "have it take them (is it a standby, or default_transaction_read_only on?), then try again"

// fullRetry is when a disk that was full is tried again.
const fullRetry = 30 * time.Second

// Full is for a Store whose disk takes no more: what was asked for may succeed once
// somebody has made room.
func Full(cause error) *Error {
	return &Error{
		Code: codes.ResourceExhausted, RetryAfter: fullRetry, cause: cause,
		Message: "use platform: the disk of its database is full: make room, it goes on by itself",
	}
}

func aborted(format string, args ...any) *Error {
	return &Error{Code: codes.Aborted, Message: fmt.Sprintf(format, args...)}
}

// doing says what was being done when err came. What may be told to the caller
// says so itself and stays as it is.
func doing(err error, format string, args ...any) error {
	var told *Error
	if errors.As(err, &told) {
		return told
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
