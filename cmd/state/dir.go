// Package state opens the platform of a state directory: its lock, its keyset,
// its store and the core over them, or the admin socket of whoever has them
// open. It is the only place that names a store adapter.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"edgesync/cmd/cmdutil"
)

// Names in a state directory, beside those of the store and the identities.
const (
	lockFile     = "lock"
	socketFile   = "admin.sock"
	keysetFile   = "keyset.json"
	settingsFile = "settings.json"
	databaseFile = "platform.db"
	tenantsDir   = "tenants"
)

// Socket is where a running serve answers the admin API.
func Socket(dir string) string { return filepath.Join(dir, socketFile) }

// settings are what bootstrapping decided about the directory itself.
type settings struct {
	// KeysetFile is where the keyset is, when not in the directory.
	KeysetFile string `json:"keyset_file,omitempty"`
	// Database is the URL of the platform's database, without secrets, when it is
	// not in the directory.
	Database string `json:"database,omitempty"`
}

func readSettings(dir string) (settings, error) {
	var s settings
	data, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, unreadable(dir, err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", filepath.Join(dir, settingsFile), err)
	}
	return s, nil
}

// unreadable is why nothing can be read in dir, with the way out.
func unreadable(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return cmdutil.Usagef("open state directory %s: %w: name a directory with --state-dir", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open state directory %s: %w: run this as the user who owns it, or name another with --state-dir", dir, err)
	}
	return fmt.Errorf("open state directory %s: %w", dir, err)
}

func writeSettings(dir string, s settings) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write settings of the state directory: %w", err)
	}
	file, err := os.CreateTemp(dir, settingsFile+".*")
	if err != nil {
		return fmt.Errorf("write settings of the state directory: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, settingsFile))
	}
	if err != nil {
		return fmt.Errorf("write settings of the state directory: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// keysetPath is where the keyset of the directory's platform is.
func keysetPath(dir string) (string, error) {
	kept, err := readSettings(dir)
	if err != nil {
		return "", err
	}
	if kept.KeysetFile != "" {
		return kept.KeysetFile, nil
	}
	return filepath.Join(dir, keysetFile), nil
}

// KeysetFile is where the keyset of the directory's platform is.
func KeysetFile(dir string) (string, error) { return keysetPath(dir) }

// checkKeyset refuses to be told of another keyset than the platform has.
func checkKeyset(opts Options) error {
	if opts.KeysetFile == "" {
		return nil
	}
	begun, err := exists(opts.Dir)
	if err != nil || !begun {
		return err
	}
	kept, err := keysetPath(opts.Dir)
	if err != nil {
		return err
	}
	if asked, err := filepath.Abs(opts.KeysetFile); err != nil || asked != kept {
		return cmdutil.Errorf(cmdutil.ExitConflict, "use keyset file %s: the platform in %s has its keyset in %s: leave --keyset-file out", opts.KeysetFile, opts.Dir, kept)
	}
	return nil
}

// exists tells whether a platform was ever begun here.
func exists(dir string) (bool, error) {
	if kept, err := readSettings(dir); err != nil || kept.Database != "" {
		return err == nil, err
	}
	_, err := os.Stat(filepath.Join(dir, databaseFile))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, unreadable(dir, err)
	}
}

func noPlatform(dir string) error {
	return cmdutil.Errorf(cmdutil.ExitConflict,
		"open platform in %s: there is none: run `edgesync bootstrap`, or name its directory with --state-dir", dir)
}

// Exists tells whether there is a platform in dir.
func Exists(dir string) bool {
	found, err := exists(dir)
	return err == nil && found
}
