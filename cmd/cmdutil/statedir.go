package cmdutil

import (
	"path/filepath"
)

// StateDir is the platform's directory: the one that is named, or the place for
// this user. uid is the effective one.
func StateDir(named string, env func(string) (string, bool), uid int) (string, error) {
	if named != "" {
		dir, err := filepath.Abs(named)
		if err != nil {
			return "", Errorf(ExitFailed, "resolve state directory %s: %w", named, err)
		}
		return dir, nil
	}
	if uid == 0 {
		return "/var/lib/edgesync", nil
	}
	if state, _ := env("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "edgesync"), nil
	}
	if home, _ := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "edgesync"), nil
	}
	return "", Usagef("missing --state-dir: neither EDGESYNC_STATE_DIR, XDG_STATE_HOME nor HOME says where the platform is")
}
