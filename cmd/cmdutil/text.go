package cmdutil

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Neutralise makes text from outside safe to show on one line of a terminal:
// control sequences, line breaks, text direction marks, invisible characters
// and broken UTF-8 are shown as escapes instead of being obeyed.
func Neutralise(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			b.WriteString(`\x` + hex(uint32(text[i]), 2))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(escapeRune(r))
		}
		i += size
	}
	return b.String()
}

func isPlain(text string) bool {
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func escapeRune(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < 0x100:
		return `\x` + hex(uint32(r), 2)
	case r < 0x10000:
		return `\u` + hex(uint32(r), 4)
	default:
		return `\U` + hex(uint32(r), 8)
	}
}

func hex(value uint32, width int) string {
	text := strconv.FormatUint(uint64(value), 16)
	return strings.Repeat("0", max(width-len(text), 0)) + text
}

// Plural is "1 device" or "2 devices".
func Plural(count int64, one string) string {
	if count == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(count, 10) + " " + one + "s"
}
