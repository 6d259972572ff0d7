package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"edgesync/seal/ownfile"
)

// createFile makes a database file that only its owner can read, with a schema's
// tables. SQLite gives its -wal and -shm files the same mode. One that exists is
// left alone: opening and closing it here would take away locks SQLite holds on it.
func createFile(path string, kind schema) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	image, err := kind.image()
	if err != nil {
		return err
	}
	whole, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(whole.Name())
	_, err = whole.Write(image)
	if err == nil {
		err = whole.Sync()
	}
	if err = errors.Join(err, whole.Close()); err != nil {
		return err
	}
	err = os.Link(whole.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// Not every file system has links. What is empty gets its tables when it is
		// opened.
		err = createEmpty(path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// clearUnfinished deletes what createFile left of files when it was cut short:
// one that got its name already has a second one by that. Nobody else may make
// files in dir meanwhile.
func clearUnfinished(dir string) error {
	for _, pattern := range []string{".platform.db.*", "tenants/.*.db.*"} {
		left, err := fs.Glob(os.DirFS(dir), pattern)
		for _, name := range left {
			err = errors.Join(err, os.Remove(filepath.Join(dir, filepath.FromSlash(name))))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func createEmpty(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
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
