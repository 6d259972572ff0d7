package onboard

import (
	"fmt"
	"os"

	"edgesync/cmd/cmdutil"
)

// prepareOut finds out that the package can be written before an identity is
// issued for it: issuing revokes the one before.
func prepareOut(dir string) error {
	if dir == "" {
		return cmdutil.Missing("out")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write edge package to %s: %w", dir, err)
	}
	probe, err := os.CreateTemp(dir, ".edge-package-*")
	if err != nil {
		return fmt.Errorf("write edge package to %s: %w", dir, err)
	}
	if err := probe.Close(); err != nil {
		return fmt.Errorf("write edge package to %s: %w", dir, err)
	}
	return os.Remove(probe.Name())
}
