//go:build unix

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// becomeOwner has root go on as the user whose directory it is, so that it makes
// no file there that the service could not read, and follows no name that the
// service has put there with more rights than the service has. It is not undone.
// While another process has the directory open, errHeld is returned and nothing
// changes: that process is asked.
func becomeOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(dir, err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	if isHeld(dir) {
		return errHeld
	}
	err = syscall.Setgroups(groupsOf(owner.Uid))
	if err == nil {
		err = syscall.Setgid(int(owner.Gid))
	}
	if err == nil {
		err = syscall.Setuid(int(owner.Uid))
	}
	if err != nil {
		return fmt.Errorf("open state directory %s as user %d, who owns it: %w", dir, owner.Uid, err)
	}
	return nil
}

// isHeld tells whether a process has the directory open, without making anything
// in it.
func isHeld(dir string) bool {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// groupsOf are the groups a user is in besides their own.
func groupsOf(uid uint32) []int {
	known, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return nil
	}
	names, err := known.GroupIds()
	if err != nil {
		return nil
	}
	var groups []int
	for _, name := range names {
		if gid, err := strconv.Atoi(name); err == nil {
			groups = append(groups, gid)
		}
	}
	return groups
}
