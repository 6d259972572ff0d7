//go:build unix

package admin

import (
	"io/fs"
	"syscall"
)

// ownerOfFile is the number of the user whose a file is.
func ownerOfFile(info fs.FileInfo) (int, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
