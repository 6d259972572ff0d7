package onboarding

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// WriteFolder unpacks a package's files into dir, whole or not at all: their
// folder must not be there yet (fs.ErrExist). Nothing is written outside dir,
// whatever the names and whatever links lie in it.
func WriteFolder(dir string, files []File) error {
	if len(files) == 0 {
		return errors.New("unpack edge package: there are no files")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack edge package: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack edge package: %w", err)
	}
	defer func() { _ = root.Close() }()
	top := topFolder(files[0].Path)
	if _, err := root.Lstat(top); err == nil {
		return fmt.Errorf("unpack edge package: %w: %s", fs.ErrExist, filepath.Join(dir, top))
	}
	err = writeBelow(root, top, files)
	if err == nil {
		err = root.Rename(top+next, top)
	}
	if err != nil {
		return fmt.Errorf("unpack edge package: %w", errors.Join(err, root.RemoveAll(top+next)))
	}
	return nil
}

// writeBelow writes the files of folder top beside it.
func writeBelow(root *os.Root, top string, files []File) error {
	if err := root.RemoveAll(top + next); err != nil {
		return err
	}
	for _, f := range files {
		below, ok := strings.CutPrefix(f.Path, top+"/")
		if !ok || !fs.ValidPath(below) {
			return fmt.Errorf("%q is not below %s", f.Path, top)
		}
		name := path.Join(top+next, below)
		if err := root.MkdirAll(path.Dir(name), folderMode(path.Dir(name))); err != nil {
			return err
		}
		file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
		if err != nil {
			return err
		}
		_, err = file.Write(f.Data)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
