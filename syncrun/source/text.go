package source

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuote is how many bytes of a source's own words an error repeats.
const maxQuote = 200

// clean makes outside text one plain line: no control or formatting characters
// (those that reverse the direction of text among them), valid UTF-8, at most
// limit bytes.
func clean(text string, limit int) string {
	return cut(strip(text, func(char rune) bool {
		return unicode.IsControl(char) || unicode.Is(unicode.Cf, char) || unicode.Is(unicode.Zl, char) || unicode.Is(unicode.Zp, char)
	}), limit)
}

// Printable tells whether a token can be a header's value.
func Printable(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return true
}

// field makes outside text fit for a field of an update: as it was, but for
// control characters and what is not UTF-8.
func field(text string, limit int) string {
	return cut(strip(text, unicode.IsControl), limit)
}

// strip turns what drop names into blanks and trims the ends.
func strip(text string, drop func(rune) bool) string {
	text = strings.Map(func(char rune) rune {
		if char == utf8.RuneError || drop(char) {
			return ' '
		}
		return char
	}, text)
	return strings.TrimSpace(text)
}

// cut shortens text to at most limit bytes of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return strings.TrimSpace(text[:limit])
}

// join writes as many of the elements as fit into limit bytes as a comma list.
func join(elements []string, limit int) string {
	var list strings.Builder
	for _, element := range elements {
		if element == "" {
			continue
		}
		if list.Len()+1+len(element) > limit {
			break
		}
		if list.Len() > 0 {
			list.WriteByte(',')
		}
		list.WriteString(element)
	}
	return list.String()
}
