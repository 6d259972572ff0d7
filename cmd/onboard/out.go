package onboard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"edgesync/cmd/cmdutil"
)

// prepareOut finds out that the package or token can be written before it is
// made: making it revokes the one before. undo takes away a directory
// that it made and that stayed empty.
func prepareOut(dir string) (undo func(), err error) {
	if dir == "" {
		return nil, cmdutil.Missing("out")
	}
	undo = func() {}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		undo = func() { _ = os.Remove(dir) }
	}
	if err := probe(dir); err != nil {
		undo()
		return nil, fmt.Errorf("write to %s: %w", dir, err)
	}
	return undo, nil
}

func probe(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".edge-package-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
