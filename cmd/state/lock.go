package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"edgesync/cmd/cmdutil"
	"edgesync/seal/ownfile"
)

// errHeld is returned by acquire while another process has the directory open.
var errHeld = errors.New("state directory is held")

// acquire takes the directory's lock, which the system gives back however the
// process ends.
func acquire(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	err = ownfile.Lock(file)
	if err == nil {
		err = sign(file)
	}
	if err != nil {
		_ = file.Close()
		if errors.Is(err, ownfile.ErrLocked) {
			return nil, errHeld
		}
		return nil, fmt.Errorf("lock state directory %s: %w", dir, err)
	}
	return file, nil
}

// sign leaves the holder's process id, for whoever finds the directory held.
func sign(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// held is the failure of waiting for a process that neither ends nor serves.
func held(dir string) error {
	return cmdutil.Errorf(cmdutil.ExitConflict, "open state directory %s: it is held by %s, which does not answer on its admin socket: wait for it or stop it", dir, holder(dir))
}

func alreadyServed(dir string) error {
	return cmdutil.Errorf(cmdutil.ExitConflict, "open state directory %s: it is held by %s, which serves it already: stop that one first", dir, holder(dir))
}

func holder(dir string) string {
	if data, err := os.ReadFile(filepath.Join(dir, lockFile)); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return fmt.Sprintf("process %d", pid)
		}
	}
	return "another process"
}
