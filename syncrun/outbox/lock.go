package outbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"edgesync/seal/ownfile"
)

// lockDir makes the directory this process's own for as long as the returned
// file is open; the kernel ends the lock with the process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock outbox: %w", err)
	}
	if err := ownfile.Lock(f); err != nil {
		_ = f.Close()
		if errors.Is(err, ownfile.ErrLocked) {
			err = fmt.Errorf("%w: another process uses it: give each its own data directory", err)
		}
		return nil, fmt.Errorf("lock outbox %s: %w", dir, err)
	}
	return f, nil
}
