package shell_test

import (
	"os/exec"
	"testing"
	"time"

	"edgesync/proto/shell"
)

func TestWordsAreReadByAShellAsTheyWere(t *testing.T) {
	for text, want := range map[string]string{
		"hq-armis": "hq-armis", "HQ Sync": "'HQ Sync'", "": "''", "a;reboot": "'a;reboot'", "o'neil $(id)": `'o'\''neil $(id)'`, "~": "'~'", "Zürich": "'Zürich'",
	} {
		word := shell.Word(text)
		if word != want {
			t.Errorf("%q: %s, want %s", text, word, want)
		}
		if read, err := exec.Command("sh", "-c", "printf %s "+word).Output(); err != nil || string(read) != text {
			t.Errorf("%q: a shell reads %q, %v", text, read, err)
		}
	}
}

func TestNamesAreNoFlags(t *testing.T) {
	for name, want := range map[string]string{
		"hq":     "edgesync source enable hq --tenant acme",
		"HQ 2":   "edgesync source enable 'HQ 2' --tenant acme",
		"-hq":    "edgesync source enable --tenant acme -- -hq",
		"--hq 2": "edgesync source enable --tenant acme -- '--hq 2'",
	} {
		if got := shell.Command("edgesync source enable", name, "--tenant acme"); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestDurationsAreShort(t *testing.T) {
	for _, want := range []string{"0s", "1ms", "1s", "10s", "30m", "1m30s", "10m", "1h", "20h", "720h", "1h30m", "1h0m5s", "-5m"} {
		d, err := time.ParseDuration(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := shell.Duration(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
