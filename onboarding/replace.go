package onboarding

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"edgesync/seal/ownfile"
)

// ErrNotPrivate is in the error for a key file that is not its owner's alone:
// whoever has read it can pose as its owner.
var ErrNotPrivate = errors.New("the file is not its owner's alone")

// next is the suffix of a file written beside the one it is to replace.
const next = ".next"

// replaceFile puts data at path whole or not at all.
func replaceFile(path string, mode fs.FileMode, data []byte) error {
	if err := writeNext(path, mode, data); err != nil {
		return err
	}
	if err := os.Rename(path+next, path); err != nil {
		return errors.Join(err, os.Remove(path+next))
	}
	return syncDir(filepath.Dir(path))
}

// writeNext writes beside path, with its mode from the first byte, and leaves
// nothing behind when it cannot.
func writeNext(path string, mode fs.FileMode, data []byte) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("replace %s: it is not a regular file", path)
	}
	if err := os.Remove(path + next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path+next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if mode.Perm()&0o077 == 0 {
		err = ownfile.Restrict(file)
	}
	if err == nil {
		_, err = file.Write(data)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path+next))
	}
	return nil
}

func syncDir(dir string) error { return ownfile.SyncDir(dir) }

// readPrivate reads a file of limited size that is its owner's alone.
func readPrivate(path string) ([]byte, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case named.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("read %s: %w: it is a symbolic link: put the file itself there", path, ErrNotPrivate)
	case !named.Mode().IsRegular():
		return nil, fmt.Errorf("read %s: it is not a regular file", path)
	}
	if err := ownfile.Private(path, named); err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", path, ErrNotPrivate, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	opened, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(named, opened) {
		return nil, fmt.Errorf("read %s: it was replaced while it was opened", path)
	}
	return readLimited(file, path)
}

// readSmall reads a file of limited size.
func readSmall(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return readLimited(file, path)
}

func readLimited(r io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", path, maxFile)
	}
	return data, nil
}
