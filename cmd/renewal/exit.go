package renewal

import (
	"context"
	"errors"
	"net"

	"edgesync/certs/client"
	"edgesync/cmd/cmdutil"
)

// ExitCode is what a command ends with that the enrolment CA gave no certificate.
func ExitCode(err error) int {
	var refused *client.RefusedError
	var network *net.OpError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &refused), errors.Is(err, client.ErrUntrusted), errors.Is(err, client.ErrEnded):
		return cmdutil.ExitRefused
	case errors.Is(err, client.ErrUnavailable), errors.As(err, &network), errors.As(err, &lookup), errors.Is(err, context.DeadlineExceeded):
		return cmdutil.ExitUnavailable
	}
	return cmdutil.ExitCode(err)
}
