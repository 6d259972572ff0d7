package renewal_test

import (
	"fmt"
	"io"
	"testing"

	"edgesync/certs/client"
	"edgesync/cmd/renewal"
)

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{&client.RefusedError{Status: 403}, 4},
		{client.ErrUntrusted, 4},
		{client.ErrEnded, 4},
		{client.ErrTokenEnded, 4},
		{client.ErrUnavailable, 5},
		{fmt.Errorf("%w: %w", client.ErrUnanswered, io.EOF), 5},
		{io.EOF, 1},
	} {
		if got := renewal.ExitCode(fmt.Errorf("enrol: %w", test.err)); got != test.want {
			t.Errorf("exit code of %v is %d, want %d", test.err, got, test.want)
		}
	}
}
