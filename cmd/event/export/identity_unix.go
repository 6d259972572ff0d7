//go:build unix

package export

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// identityOf names a file among all that have its path one after the other.
func identityOf(info os.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d-%d", stat.Dev, stat.Ino)
	}
	return ""
}

// hold takes a file for this process alone, until it is closed.
func hold(file *os.File) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("another export writes to it")
	}
	return nil
}
