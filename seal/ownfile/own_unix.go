//go:build unix

package ownfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// NoFollow opens no file through a symbolic link.
const NoFollow = unix.O_NOFOLLOW

// Private says who but its owner may read the file at path, and how to mend that,
// or nil. info is the file's.
func Private(_ string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("its mode is %#o: chmod 600 it", mode)
	}
	return nil
}

// Restrict makes a file that was just opened its owner's alone. Here its mode
// does.
func Restrict(*os.File) error { return nil }

// Create makes a file of mode 0600 that must not exist yet. It may be renamed and
// removed while it is open.
func Create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// Open opens a file to read, likewise.
func Open(path string) (*os.File, error) { return os.Open(path) }

// Lock takes the lock of an open file, which closing it gives back, or returns
// ErrLocked.
func Lock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// SyncDir has the entries of a folder outlive a crash.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// NoSpace tells a disk or a quota that is used up from one that is broken.
func NoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// OfRoot tells whether a file is root's.
func OfRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}
