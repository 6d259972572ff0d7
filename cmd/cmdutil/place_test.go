package cmdutil_test

import (
	"os"
	"path/filepath"
	"testing"

	"edgesync/cmd/cmdutil"
)

func lookup(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := pairs[name]
		return value, ok
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWhichPlatformIsMeant has the command line, the environment and the file of
// serve's settings say where the platform is.
func TestWhichPlatformIsMeant(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "serve.yaml"), "state_dir: /of/file\ndatabase: postgres://of@file/x\ndatabase_password_file: /of/file.pass\n")
	credentials := t.TempDir()
	handed := write(t, filepath.Join(credentials, "edgesync-database-password"), "s3cret\n")
	for name, test := range map[string]struct {
		env                          map[string]string
		stateDir, database, password string
		want                         cmdutil.Database
		wantDir                      string
	}{
		"the file": {env: map[string]string{"EDGESYNC_CONFIG": file}, wantDir: "/of/file",
			want: cmdutil.Database{URL: "postgres://of@file/x", PasswordFile: "/of/file.pass"}},
		"the environment": {env: map[string]string{"EDGESYNC_CONFIG": file, "EDGESYNC_DATABASE": "postgres://of@env/x", "EDGESYNC_DATABASE_PASSWORD_FILE": "/of/env.pass"}, wantDir: "/of/file",
			want: cmdutil.Database{URL: "postgres://of@env/x", PasswordFile: "/of/env.pass"}},
		"the command line": {env: map[string]string{"EDGESYNC_CONFIG": file, "EDGESYNC_DATABASE": "postgres://of@env/x"}, database: "postgres://of@flag/x", password: "/of/flag.pass", wantDir: "/of/file",
			want: cmdutil.Database{URL: "postgres://of@flag/x", Argument: true, PasswordFile: "/of/flag.pass"}},
		"another platform than the file's": {env: map[string]string{"EDGESYNC_CONFIG": file, "EDGESYNC_STATE_DIR": "/of/env"}, wantDir: "/of/env"},
		"the same platform by name": {env: map[string]string{"EDGESYNC_CONFIG": file, "EDGESYNC_STATE_DIR": "/of/env"}, stateDir: "/of/file", wantDir: "/of/file",
			want: cmdutil.Database{URL: "postgres://of@file/x", PasswordFile: "/of/file.pass"}},
		"no file": {env: map[string]string{"XDG_STATE_HOME": "/xdg"}, wantDir: "/xdg/edgesync"},
		"a credential of the service manager": {env: map[string]string{"XDG_STATE_HOME": "/xdg", "CREDENTIALS_DIRECTORY": credentials}, wantDir: "/xdg/edgesync",
			want: cmdutil.Database{PasswordFile: handed}},
		"no credential": {env: map[string]string{"XDG_STATE_HOME": "/xdg", "CREDENTIALS_DIRECTORY": dir}, wantDir: "/xdg/edgesync"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &cmdutil.Factory{Env: lookup(test.env), UID: 1000, StateDirFlag: test.stateDir, DatabaseFlag: test.database, DatabasePasswordFlag: test.password}
			gotDir, err := f.StateDir()
			if err != nil || gotDir != test.wantDir {
				t.Errorf("directory %q (%v), want %q", gotDir, err, test.wantDir)
			}
			if got, err := f.Database(); err != nil || got != test.want {
				t.Errorf("database %+v (%v), want %+v", got, err, test.want)
			}
		})
	}
	missing := &cmdutil.Factory{Env: lookup(map[string]string{"EDGESYNC_CONFIG": filepath.Join(dir, "none"), "HOME": "/home/u"}), UID: 1000}
	if _, err := missing.StateDir(); cmdutil.ExitCode(err) != cmdutil.ExitNotFound {
		t.Errorf("a file that is named and missing: %v", err)
	}
}

func TestPasswordIsReadEachTime(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "password"), "first\n")
	read := cmdutil.Database{PasswordFile: path}.Password()
	if got, err := read(); err != nil || got != "first" {
		t.Errorf("%q, %v", got, err)
	}
	write(t, path, "second")
	if got, err := read(); err != nil || got != "second" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "\n", "two\nlines", "\x00"} {
		write(t, path, text)
		if _, err := read(); err == nil {
			t.Errorf("%q was taken for a password", text)
		}
	}
	if (cmdutil.Database{}).Password() != nil {
		t.Error("a password out of no file")
	}
}
