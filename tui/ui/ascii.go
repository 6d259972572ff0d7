package ui

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// ShowsUTF8 tells whether a terminal with this environment, NAME=value, draws more
// than ASCII. One that says nothing of its locale does, like nearly all.
func ShowsUTF8(env []string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // The first that is set counts (POSIX, 8.2).
		for _, one := range env {
			if locale, found := strings.CutPrefix(one, name+"="); found && locale != "" {
				locale = strings.ToLower(locale)
				return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
			}
		}
	}
	return true
}

// plain are the signs that are drawn here, each with one of ASCII for it.
var plain = map[string]string{
	"─": "-", "│": "|", "┃": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
	"●": "*", "◐": "~", "○": "o", "·": ".", "•": "*", "▸": ">", "✓": "+", "✗": "x", "≠": "!",
	"…": ".", "–": "-", "×": "x", "‹": "<", "›": ">", "←": "<", "→": ">", "↑": "^", "↓": "v",
	"▁": "_", "▂": "_", "▃": ".", "▄": ".", "▅": "-", "▆": "-", "▇": "#", "█": "#", "░": ".",
	"◜": "|", "◝": "/", "◞": "-", "◟": `\`,
}

// ASCII is a screen for terminals that draw nothing else, of the same width. What
// names hold and it cannot say is a question mark a cell.
func ASCII(screen string) string {
	var b strings.Builder
	for len(screen) > 0 {
		n := strings.IndexFunc(screen, func(r rune) bool { return r >= utf8.RuneSelf })
		if n < 0 {
			n = len(screen)
		}
		b.WriteString(screen[:n])
		if screen = screen[n:]; screen == "" {
			break
		}
		sign, width := ansi.FirstGraphemeCluster(screen, ansi.GraphemeWidth)
		screen = screen[len(sign):]
		if known, ok := plain[sign]; ok {
			b.WriteString(known)
		} else {
			b.WriteString(strings.Repeat("?", width))
		}
	}
	return b.String()
}
