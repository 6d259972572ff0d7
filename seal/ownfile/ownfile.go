// Package ownfile is what each operating system has of its own for files that are
// one user's and one process's: who else may read them, locks that end with the
// process, and folders whose entries outlive a crash. It knows nothing of what is
// in the files.
package ownfile

import "errors"

// ErrLocked is returned by Lock while another process has the lock.
var ErrLocked = errors.New("the lock is held")
