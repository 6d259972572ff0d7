// Package shell writes the commands that texts offer, and what stands in them, for
// the platform and for edge hosts alike: they can be copied into a POSIX shell,
// whatever the names in them hold. It must not know which commands there are.
package shell

import (
	"strings"
	"time"
)

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

// Duration is d as flags take it, "6h" or "1m30s": without the units at its end that
// are zero.
func Duration(d time.Duration) string {
	text := d.String()
	if short, found := strings.CutSuffix(text, "m0s"); found {
		text = short + "m"
	}
	if short, found := strings.CutSuffix(text, "h0m"); found {
		text = short + "h"
	}
	return text
}
