package renewal

import (
	"context"
	"errors"

	"edgesync/certs/client"
	"edgesync/cmd/cmdutil"
)

// ExitCode is what a command ends with that the enrolment CA gave no certificate.
func ExitCode(err error) int {
	var refused *client.RefusedError
	switch {
	case errors.As(err, &refused), errors.Is(err, client.ErrUntrusted), errors.Is(err, client.ErrEnded), errors.Is(err, client.ErrTokenEnded):
		return cmdutil.ExitRefused
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrUnanswered), errors.Is(err, context.DeadlineExceeded):
		return cmdutil.ExitUnavailable
	}
	return cmdutil.ExitCode(err)
}
