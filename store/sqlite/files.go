package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"edgesync/seal/ownfile"
)

// createFile makes an empty database file that only its owner can read. SQLite
// gives its -wal and -shm files the same mode. One that exists is left alone:
// opening and closing it here would take away locks SQLite holds on it.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// removeFiles deletes a database that nobody has open. The log goes before the
// data: a log that outlived its file would be replayed into the next of the name.
func removeFiles(path string) error {
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a file's creation or removal survive a power failure.
func syncDir(dir string) error { return ownfile.SyncDir(dir) }
