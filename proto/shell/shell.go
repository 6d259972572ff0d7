// Package shell writes the commands that texts offer, for core and for onboarding
// alike: they can be copied into a POSIX shell, whatever the names in them hold.
// It must not know which commands there are.
package shell

import "strings"

// Word quotes text where it needs that to be one word.
func Word(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Command is a command with the name of what it acts on and the flags after that,
// which are words already. A name that could be taken for a flag stands behind them.
func Command(command, name, flags string) string {
	words := []string{command, Word(name), flags}
	if strings.HasPrefix(name, "-") {
		words = []string{command, flags, "--", Word(name)}
	}
	return strings.Join(words, " ")
}
