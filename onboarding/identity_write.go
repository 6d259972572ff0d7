package onboarding

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replacing marks a folder in which the new files of an identity are all
// written and some may be in place: whoever finds it finishes the move.
const replacing = ".replacing"

// WriteIdentity puts an identity into dir, replacing the one there as a whole:
// when it fails, or the host stops in the middle, LoadIdentity finds the old one
// or the new one and never parts of both.
func WriteIdentity(dir string, i Identity) error {
	files, err := i.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	if err := finishReplacing(dir); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	for n, f := range files {
		if err := writeNext(filepath.Join(dir, f.Path), f.Mode, f.Data); err != nil {
			return fmt.Errorf("write identity: %w", errors.Join(err, dropNext(dir, files[:n])))
		}
	}
	if err := replaceFile(filepath.Join(dir, replacing), 0o600, nil); err != nil {
		return fmt.Errorf("write identity: %w", errors.Join(err, dropNext(dir, files)))
	}
	if err := finishReplacing(dir); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

func dropNext(dir string, files []File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, os.Remove(filepath.Join(dir, f.Path+next)))
	}
	return errors.Join(errs...)
}

// finishReplacing moves what a marked folder still has beside its places.
func finishReplacing(dir string) error {
	marker := filepath.Join(dir, replacing)
	if _, err := os.Lstat(marker); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range []string{CAFile, CAInfoFile, KeyFile, CertFile} {
		path := filepath.Join(dir, name)
		if err := os.Rename(path+next, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move new identity into place (it is tried again at the next start): %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Remove(marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}
