package onboarding

import (
	"strings"
	"unicode"

	"edgesync/certs"
)

// ComponentID is the component id a service of that name gets: see
// certs.ComponentID.
func ComponentID(name string) (string, error) { return certs.ComponentID(name) }

// printable drops what would move a reader's cursor or turn text around.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// markdown is printable text with what Markdown would act on escaped.
func markdown(s string) string {
	var out strings.Builder
	for _, r := range printable(s) {
		if strings.ContainsRune("\\`*_{}[]<>|#!&", r) {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}
