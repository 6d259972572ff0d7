package outbox

import (
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
		return nil, fmt.Errorf("lock outbox %s: another process uses it; give each its own data directory: %w", dir, err)
	}
	return f, nil
}
