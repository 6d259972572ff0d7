package certs

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// ComponentID is the slug of a name: its letters and digits in ASCII, lower
// case, with one hyphen for whatever is between them.
func ComponentID(name string) (string, error) {
	var slug strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(name) {
		r = unicode.ToLower(r)
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if gap && slug.Len() > 0 {
				slug.WriteByte('-')
			}
			gap = false
			slug.WriteRune(r)
		case unicode.Is(unicode.Mn, r) || r == '\'' || r == '’':
			// Accents and apostrophes are inside a word.
		default:
			gap = true
		}
	}
	if slug.Len() == 0 {
		return "", fmt.Errorf("name service %q: it has no letter a-z or digit to make a component id of: choose a name with some", name)
	}
	if err := ValidLabel(slug.String()); err != nil {
		return "", fmt.Errorf("name service %q: %w: choose a shorter name", name, err)
	}
	return slug.String(), nil
}
