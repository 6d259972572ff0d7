package core

import "testing"

func TestNamesInCommandsAreWordsOfAShell(t *testing.T) {
	for name, want := range map[string]string{
		"hq-armis": "hq-armis", "HQ Sync": "'HQ Sync'", "": "''", "a;reboot": "'a;reboot'", "o'neil $(id)": `'o'\''neil $(id)'`,
	} {
		if got := word(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestOneIsNoPlural(t *testing.T) {
	if one, two := plural(1, "page"), plural(int64(2), "page"); one != "1 page" || two != "2 pages" {
		t.Errorf("%q, %q", one, two)
	}
}
