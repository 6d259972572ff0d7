package serve_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"edgesync/cmd"
	"edgesync/cmd/cmdutil"
)

// deployed is where the manifests are.
const deployed = "../../deploy"

// shown are the settings that serve would have with a file, by their key and by
// their variable.
func shown(t *testing.T, file string) map[string]any {
	t.Helper()
	var out bytes.Buffer
	f := &cmdutil.Factory{
		IO:  &cmdutil.IOStreams{In: bufio.NewReader(strings.NewReader("")), Out: &out, Err: &out},
		Env: func(name string) (string, bool) { return t.TempDir(), name == "HOME" }, Now: time.Now, UID: 1000,
	}
	root := cmd.NewRoot(f)
	root.SetArgs([]string{"serve", "config", "show", "--config", file, "-o", "json"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var list []struct {
		Setting, Env string
		Value        any
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for _, s := range list {
		found[s.Setting], found[s.Env] = s.Value, s.Value
	}
	return found
}

// TestDeployedSettingsAreSettings has the files under deploy say nothing that
// serve does not know.
func TestDeployedSettingsAreSettings(t *testing.T) {
	settings := shown(t, filepath.Join(deployed, "kubernetes", "settings.yaml"))
	if settings["metrics_listen"] != ":9464" || settings["log_format"] != "json" {
		t.Errorf("settings are %v", settings)
	}
	variables := regexp.MustCompile(`EDGESYNC_[A-Z_]+`)
	others := map[string]bool{"EDGESYNC_CONFIG": true, "EDGESYNC_IMAGE": true}
	seen := 0
	err := filepath.WalkDir(deployed, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" && entry.Name() != "Dockerfile" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range variables.FindAllString(string(text), -1) {
			seen++
			if _, ok := settings[name]; !ok && !others[name] {
				t.Errorf("%s: %s is no variable of serve", path, name)
			}
		}
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d variables, %v", seen, err)
	}
}
