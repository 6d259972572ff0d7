package ui_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"edgesync/tui/ui"
)

func TestScreensInASCII(t *testing.T) {
	screens, err := filepath.Glob(filepath.Join("..", "testdata", "golden", "*.txt"))
	if err != nil || len(screens) == 0 {
		t.Fatalf("%d screens, %v", len(screens), err)
	}
	for _, path := range screens {
		screen, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// What is drawn here has a sign for it; names from outside may have none.
		before := strings.Split(strings.ReplaceAll(string(screen), "工場", "yard"), "\n")
		for i, after := range strings.Split(ui.ASCII(strings.Join(before, "\n")), "\n") {
			switch {
			case strings.ContainsFunc(after, func(r rune) bool { return r > unicode.MaxASCII }):
				t.Errorf("%s:%d: not ASCII: %s", path, i+1, after)
			case ansi.StringWidth(after) != ansi.StringWidth(before[i]):
				t.Errorf("%s:%d: %s has another width than %s", path, i+1, after, before[i])
			case strings.Count(after, "?") != strings.Count(before[i], "?"):
				t.Errorf("%s:%d: there is no sign for something in %s", path, i+1, before[i])
			}
		}
	}
	for text, want := range map[string]string{
		"": "", "Site 工場 B": "Site ???? B", "Zürich": "Z?rich", "\x1b[1m●\x1b[m up": "\x1b[1m*\x1b[m up", "e\u0301a": "ea", "\U0001F469\u200D\U0001F52C!": "??!", "\xff": "?",
	} {
		if got := ui.ASCII(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWhatTheLocaleSays(t *testing.T) {
	for env, want := range map[string]bool{
		"": true, "TERM=xterm": true, "LC_ALL=C": false, "LC_ALL=POSIX LANG=C.UTF-8": false, "LANG=C LC_ALL=C.UTF-8": true, "LANG=en_US.utf8": true,
		"LANG=en_US": false, "LC_CTYPE=UTF-8 LANG=C": true, "LC_ALL= LC_CTYPE= LANG=de_DE.ISO-8859-1": false, "LC_ALL= LANG=": true,
	} {
		if got := ui.ShowsUTF8(strings.Fields(env)); got != want {
			t.Errorf("%s: %v", env, got)
		}
	}
}
