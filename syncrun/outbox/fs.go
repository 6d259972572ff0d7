package outbox

import (
	"io"
	"os"

	"edgesync/seal/ownfile"
)

// FS is what an outbox asks of a file system, so that a test can take the disk
// away at any moment.
type FS interface {
	// Create makes a file of mode 0600 that must not exist yet.
	Create(path string) (File, error)
	Open(path string) (File, error)
	// Append opens a file for writing at its end and makes it if need be.
	Append(path string) (File, error)
	ReadFile(path string) ([]byte, error)
	ReadDir(path string) ([]os.DirEntry, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

// File is one file of an FS.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	Sync() error
	Stat() (os.FileInfo, error)
}

// Disk is the machine's own file system.
type Disk struct{}

func (Disk) Create(path string) (File, error) {
	return ownfile.Create(path)
}

func (Disk) Open(path string) (File, error) { return ownfile.Open(path) }

func (Disk) Append(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

func (Disk) ReadFile(path string) ([]byte, error)       { return os.ReadFile(path) }
func (Disk) ReadDir(path string) ([]os.DirEntry, error) { return os.ReadDir(path) }
func (Disk) Rename(from, to string) error               { return os.Rename(from, to) }
func (Disk) Remove(path string) error                   { return os.Remove(path) }

func (Disk) SyncDir(path string) error { return ownfile.SyncDir(path) }

// noSpace tells a disk or a quota that is used up from one that is broken.
func noSpace(err error) bool { return ownfile.NoSpace(err) }
