package source

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"edgesync/proto/payload"
)

// The bounds of one request, unless Options say otherwise.
const (
	// DefaultTimeout ends a request whose answer has not wholly come.
	DefaultTimeout = time.Minute
	// DefaultMaxResponse is the most bytes an answer may have once unpacked.
	DefaultMaxResponse = 32 << 20
)

// Options are what adapters need besides the source. The zero value works.
type Options struct {
	// HTTP makes the requests; its Transport decides which addresses may be
	// reached. Its redirect policy and Timeout are replaced. Nil is a client of
	// the package's own.
	HTTP *http.Client
	// Timeout and MaxResponse bound each request; zero takes the defaults.
	Timeout     time.Duration
	MaxResponse int64
	// TempDir is where an adapter may keep what does not fit in memory, in files
	// without a name; empty is the system's own.
	TempDir string
	// Now is time.Now when nil.
	Now func() time.Time
	// Wait pauses for as long as a source asked to be left alone; nil is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// withDefaults fills what was left out.
func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = DefaultMaxResponse
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	return o
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// MaxPageSize is the largest page a source may be asked for.
const MaxPageSize = 10_000

// PageSize is the configured size of a page, or usual when none is.
func PageSize(config payload.Source, usual int) (int, error) {
	text := config.Credentials[payload.CredentialPageSize]
	if text == "" {
		return usual, nil
	}
	size, err := strconv.Atoi(text)
	if err != nil || size < 1 || size > MaxPageSize {
		return 0, fmt.Errorf("read %s: it must be a whole number from 1 to %d", payload.CredentialPageSize, MaxPageSize)
	}
	return size, nil
}
