package onboarding

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgesync/seal/ownfile"
)

// lockFile is what a process holds that replaces the identity in a folder. Its
// time is that of the last attempt.
const lockFile = ".renewal"

const lockRetry = 20 * time.Millisecond

// LockFolder waits for the turn to replace the identity in a folder, among all
// processes of the host. The system gives it back however the process ends.
func LockFolder(ctx context.Context, dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|ownfile.NoFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock identity: %w", err)
	}
	for {
		err := ownfile.Lock(file)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, ownfile.ErrLocked) {
			return nil, errors.Join(fmt.Errorf("lock identity in %s: %w", dir, err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock identity in %s: another process is replacing it: %w", dir, context.Cause(ctx)), file.Close())
		case <-time.After(lockRetry):
		}
	}
}

// MarkAttempt remembers in a folder when its identity was to be replaced last.
func MarkAttempt(dir string, at time.Time) error {
	return os.Chtimes(filepath.Join(dir, lockFile), at, at)
}

// LastAttempt is when MarkAttempt was last called, zero where it never was.
func LastAttempt(dir string) time.Time {
	info, err := os.Lstat(filepath.Join(dir, lockFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
