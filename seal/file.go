package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"edgesync/seal/ownfile"
)

// ErrNotPrivate is in the error for a keyset file that is not its owner's alone:
// what it seals may be known to others.
var ErrNotPrivate = errors.New("the file is not its owner's alone")

// maxKeyset is far above what a keyset of many keys needs.
const maxKeyset = 1 << 20

// readPrivate reads a file that is its owner's alone.
func readPrivate(path string) ([]byte, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := private(path, named); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	// What was opened must be what was looked at.
	opened, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(named, opened) {
		return nil, errors.New("it was replaced while it was opened")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyset+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeyset {
		return nil, fmt.Errorf("it is larger than %d bytes", maxKeyset)
	}
	return data, nil
}

func private(path string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%w: it is a symbolic link: name the file itself", ErrNotPrivate)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: it is not a regular file", ErrNotPrivate)
	case handedOver(info, os.Geteuid()):
		return nil
	}
	if err := ownfile.Private(path, info); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPrivate, err)
	}
	return nil
}

// handedOver tells a file that root has made for a group to read, as whoever
// starts containers hands secrets to a program that is not root. PostgreSQL takes
// its keys by the same rule.
func handedOver(info fs.FileInfo, uid int) bool {
	return uid != 0 && info.Mode().Perm()&0o137 == 0 && ownfile.OfRoot(info)
}

// createPrivate writes beside and links into place: the file is there whole or
// not at all, never replaces another, and is private from its first byte.
func createPrivate(path string, data []byte) error {
	dir := filepath.Dir(path)
	// os.CreateTemp makes files of mode 0600.
	file, err := os.CreateTemp(dir, ".keyset-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if err = ownfile.Restrict(file); err == nil {
		_, err = file.Write(data)
	}
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil {
		return err
	}
	return ownfile.SyncDir(dir)
}
