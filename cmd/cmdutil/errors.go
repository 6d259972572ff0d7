package cmdutil

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/seal/ownfile"
)

// Exit codes, as scripts rely on them.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitRefused     = 4
	ExitUnavailable = 5
	ExitConflict    = 6
)

// Error is a failure found by a command itself, with the exit code it means.
type Error struct {
	Exit  int
	Text  string
	Cause error
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error; a %w in format is its cause.
func Errorf(exit int, format string, args ...any) error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Exit: exit, Text: wrapped.Error(), Cause: errors.Unwrap(wrapped)}
}

// Usagef is a mistake on the command line.
func Usagef(format string, args ...any) error { return Errorf(ExitUsage, format, args...) }

// Missing is the mistake of leaving a value out where none can be asked for.
func Missing(flag string) error {
	return Usagef("missing --%s: it must be given when there is no terminal to ask on", flag)
}

// ExitCode is what the process ends with for err.
func ExitCode(err error) int {
	if err == nil {
		return ExitDone
	}
	var own *Error
	if errors.As(err, &own) {
		return own.Exit
	}
	if carrier, ok := statusOf(err); ok {
		return exitOfCode(carrier.GRPCStatus().Code())
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ECONNREFUSED):
		return ExitUnavailable
	case errors.Is(err, fs.ErrNotExist):
		return ExitNotFound
	case errors.Is(err, fs.ErrPermission):
		return ExitRefused
	case errors.Is(err, fs.ErrExist), errors.Is(err, ownfile.ErrLocked), errors.Is(err, syscall.EADDRINUSE):
		return ExitConflict
	}
	return ExitFailed
}

func exitOfCode(code codes.Code) int {
	switch code {
	case codes.OK:
		return ExitDone
	case codes.InvalidArgument:
		return ExitUsage
	case codes.NotFound:
		return ExitNotFound
	case codes.PermissionDenied, codes.Unauthenticated:
		return ExitRefused
	case codes.Unavailable, codes.DeadlineExceeded:
		return ExitUnavailable
	case codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted:
		return ExitConflict
	default:
		return ExitFailed
	}
}

// ErrorLine is err as it is told to the user: one line, without the envelope
// that gRPC puts around a message.
func ErrorLine(err error) string {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return "interrupted"
	}
	text := err.Error()
	if carrier, ok := statusOf(err); ok {
		text = strings.Replace(text, carrier.Error(), carrier.GRPCStatus().Message(), 1)
	}
	if text == "" {
		text = "failed without a reason"
	}
	return Neutralise(tokens.ReplaceAllString(text, "(a token)"))
}

// tokens are texts of the form of a join token. One that was given in the wrong
// place, such as for the name of a file, would be repeated with what is wrong.
var tokens = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)

// HoldsToken says whether there is something of that form in a text.
func HoldsToken(text string) bool { return tokens.MatchString(text) }

// statusError is an error of core as much as one that came over a connection.
type statusError interface {
	error
	GRPCStatus() *status.Status
}

func statusOf(err error) (statusError, bool) {
	var carrier statusError
	ok := errors.As(err, &carrier)
	return carrier, ok
}
