package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// places are where distributions put server binaries, which are seldom on PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// binaries is the directory of the newest installed server, or empty.
func binaries() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(real)
		}
	}
	var found []string
	for _, place := range places {
		dirs, _ := filepath.Glob(place)
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
				found = append(found, dir)
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
}

// version is the first number in a path, by which its releases are told apart.
func version(path string) int {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	for i := 0; i < len(path); i++ {
		if !digit(path[i]) {
			continue
		}
		end := i
		for end < len(path) && digit(path[end]) {
			end++
		}
		n, _ := strconv.Atoi(path[i:end])
		return n
	}
	return 0
}
