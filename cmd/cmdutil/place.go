package cmdutil

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"edgesync/cmd/settings"
)

const (
	// DefaultConfig is where the settings of serve are, of root's platform.
	DefaultConfig = "/etc/edgesync/serve.yaml"
	configEnv     = "EDGESYNC_CONFIG"
	// passwordCredential is the name under which a service manager hands over the
	// database's password.
	passwordCredential = "edgesync-database-password"
)

// Database is where a platform's database is, as a command was told it.
type Database struct {
	URL string
	// Argument tells that the URL stood on the command line, where every user of
	// the host can read it.
	Argument bool
	// PasswordFile holds the password; empty for none.
	PasswordFile string
}

// ConfigFile is the path of the file of serve's settings, and whether somebody
// named it: one that nobody named need not be there. flag is empty for none.
func (f *Factory) ConfigFile(flag string) (path string, named bool) {
	if flag != "" {
		return flag, true
	}
	if path, _ = f.Env(configEnv); path != "" {
		return path, true
	}
	return DefaultConfig, false
}

// ReadConfig reads the file of serve's settings, nil where there is none.
func (f *Factory) ReadConfig(flag string) (*settings.File, error) {
	path, named := f.ConfigFile(flag)
	file, err := settings.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, err
	case err != nil:
		return nil, Usagef("%w", err)
	}
	return file, nil
}

// place is a platform of this machine.
type place struct {
	Dir string
	Database
}

// platform is the place that the command line, the environment or the file of
// serve's settings name, in this order. Who is not root has a platform of their
// own, and the file only counts for them where they name it.
func (f *Factory) platform() (place, error) {
	var file *settings.File
	if _, named := f.ConfigFile(""); named || f.UID == 0 {
		var err error
		if file, err = f.ReadConfig(""); err != nil {
			return place{}, err
		}
	}
	fromEnv, _ := f.Env(settings.Env("state-dir"))
	dir, err := StateDir(cmp.Or(f.StateDirFlag, fromEnv, file.Text("state_dir")), f.Env, f.UID)
	if err != nil {
		return place{}, err
	}
	ofFile, _ := StateDir(file.Text("state_dir"), f.Env, f.UID)
	told := place{Dir: dir, Database: Database{
		URL: f.DatabaseFlag, Argument: f.DatabaseFlag != "", PasswordFile: f.DatabasePasswordFlag,
	}}
	if told.URL == "" {
		told.URL, _ = f.Env(settings.Env("database"))
	}
	if told.PasswordFile == "" {
		told.PasswordFile, _ = f.Env(settings.Env("database-password-file"))
	}
	// The file's database is that of the file's platform.
	if dir == ofFile {
		if told.URL == "" {
			told.URL = file.Text("database")
		}
		if told.PasswordFile == "" {
			told.PasswordFile = file.Text("database_password_file")
		}
	}
	if told.PasswordFile == "" {
		told.PasswordFile = f.CredentialFile()
	}
	return told, nil
}

// OnlyHere refuses --server and --identity for what, such as "a platform is
// served", is done on the platform's own machine alone.
func (f *Factory) OnlyHere(what string) error {
	switch {
	case f.Server != "":
		return Usagef("--server: %s on the platform's own machine, or beside its database: run this there", what)
	case f.Identity != "":
		return Usagef("--identity: %s on the platform's own machine, or beside its database, without one: leave it out", what)
	}
	return nil
}

// NoPlatform refuses the flags that say which platform is meant where that is
// settled already; instead says by what.
func (f *Factory) NoPlatform(instead string) error {
	for _, flag := range []struct{ name, value string }{
		{"server", f.Server}, {"identity", f.Identity}, {"database", f.DatabaseFlag}, {"database-password-file", f.DatabasePasswordFlag},
	} {
		if flag.value != "" {
			return Usagef("--%s: %s: leave it out", flag.name, instead)
		}
	}
	return nil
}

// CredentialFile is the file in which the service manager hands the database's
// password over, empty where it does not.
func (f *Factory) CredentialFile() string {
	dir, _ := f.Env("CREDENTIALS_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return ""
	}
	path := filepath.Join(dir, passwordCredential)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// maxPassword is far longer than any.
const maxPassword = 4 << 10

// Password reads the password of a database out of its file; nil where there is
// no such file to be read.
func (d Database) Password() func() (string, error) {
	if d.PasswordFile == "" {
		return nil
	}
	return func() (string, error) {
		data, err := os.ReadFile(d.PasswordFile)
		if err != nil {
			return "", err
		}
		text := strings.TrimRight(string(data), "\r\n")
		if text == "" || len(text) > maxPassword || strings.ContainsAny(text, "\n\x00") {
			return "", fmt.Errorf("%s holds no password on a line of its own", d.PasswordFile)
		}
		return text, nil
	}
}
