package cmdutil_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdutil"
)

func TestExitCode(t *testing.T) {
	_, missing := os.Open("/does/not/exist")
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("broken"), 1},
		{cmdutil.Usagef("bad flag"), 2},
		{fmt.Errorf("add source: %w", cmdutil.Usagef("bad flag")), 2},
		{status.Error(codes.InvalidArgument, "x"), 2},
		{status.Error(codes.NotFound, "x"), 3},
		{status.Error(codes.PermissionDenied, "x"), 4},
		{status.Error(codes.Unauthenticated, "x"), 4},
		{status.Error(codes.Unavailable, "x"), 5},
		{status.Error(codes.DeadlineExceeded, "x"), 5},
		{status.Error(codes.AlreadyExists, "x"), 6},
		{status.Error(codes.FailedPrecondition, "x"), 6},
		{status.Error(codes.Aborted, "x"), 6},
		{status.Error(codes.Internal, "x"), 1},
		{status.Error(codes.ResourceExhausted, "x"), 1},
		{fmt.Errorf("say: %w", status.Error(codes.NotFound, "x")), 3},
		{context.DeadlineExceeded, 5},
		{context.Canceled, 1},
		{missing, 3},
		{fs.ErrPermission, 4},
		{fs.ErrExist, 6},
	} {
		if got := cmdutil.ExitCode(test.err); got != test.want {
			t.Errorf("exit code of %v is %d, want %d", test.err, got, test.want)
		}
	}
}

func TestErrorLineIsOneLineWithoutEnvelope(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.NotFound, "find tenant acme: there is none"), "find tenant acme: there is none"},
		{errors.New("first\nsecond\x1b[2J"), `first\nsecond\x1b[2J`},
		{status.Error(codes.Internal, ""), "failed without a reason"},
		{context.Canceled, "interrupted"},
		{fmt.Errorf("read answer: %w", cmdutil.Usagef("too long")), "read answer: too long"},
		{fmt.Errorf("issue identity: %w", status.Error(codes.NotFound, "find tenant acme: there is none")),
			"issue identity: find tenant acme: there is none"},
	} {
		got := cmdutil.ErrorLine(test.err)
		if got != test.want {
			t.Errorf("line of %v is %q, want %q", test.err, got, test.want)
		}
		if strings.ContainsAny(got, "\n\r\x1b") {
			t.Errorf("line of %v is not one line: %q", test.err, got)
		}
	}
}
