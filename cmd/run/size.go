package run

import (
	"fmt"

	"edgesync/cmd/cmdutil"
)

// size is a flag of how large an outbox may be.
type size cmdutil.Size

// minOutbox is the smallest outbox that holds a chunk of each size there is.
const minOutbox = 16 << 20

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	var given cmdutil.Size
	if err := given.Set(text); err != nil {
		return err
	}
	if given < minOutbox {
		return fmt.Errorf("%s is too little: want at least 16MiB", text)
	}
	*s = size(given)
	return nil
}

// String implements pflag.Value.
func (s *size) String() string { return (*cmdutil.Size)(s).String() }

// Type implements pflag.Value.
func (s *size) Type() string { return (*cmdutil.Size)(s).Type() }
