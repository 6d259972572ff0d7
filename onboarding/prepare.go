package onboarding

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Prepare makes the directory dir and finds out that files can be written to it,
// for work that nobody takes back once they cannot. undo takes away the
// directories that it made and that stayed empty.
func Prepare(dir string, mode fs.FileMode) (undo func(), err error) {
	var made []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		made = append(made, at)
	}
	undo = func() {
		for _, at := range made {
			_ = os.Remove(at) // It stays if there is something in it.
		}
	}
	if err := probe(dir, mode); err != nil {
		undo()
		return nil, fmt.Errorf("write to %s: %w", dir, err)
	}
	return undo, nil
}

func probe(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
