package sqlite

import (
	"strings"
	"unicode/utf8"
)

const (
	// gram is how many characters the index of device_text knows rows by.
	gram = 3
	// mostGrams are enough to leave few rows to look at: the more there are, the
	// longer their rows take to be put together.
	mostGrams = 16
)

// texts are the ids of the rows of device_text that hold a term. The index tells
// which rows hold all of its grams; what they say is looked at, unless the term
// is no more than one. A term that is less is looked for in all.
func texts(term string) (query string, args []any) {
	grams := gramsOf(term)
	switch {
	case grams == "":
		return `SELECT id FROM device_text WHERE instr(text, ?) > 0`, []any{term}
	case utf8.RuneCountInString(term) == gram:
		return `SELECT rowid AS id FROM device_search WHERE device_search MATCH ?`, []any{grams}
	}
	return `SELECT s.rowid AS id FROM device_search s CROSS JOIN device_text t ON t.id = s.rowid
		WHERE s.device_search MATCH ? AND instr(t.text, ?) > 0`, []any{grams, term}
}

// gramsOf is a query of the index for texts that have all of a term's grams, or
// empty.
func gramsOf(term string) string {
	if !utf8.ValidString(term) || strings.ContainsRune(term, 0) {
		return ""
	}
	runes := []rune(term)
	var query strings.Builder
	for i := 0; i+gram <= len(runes) && i < mostGrams; i++ {
		if i > 0 {
			query.WriteString(" AND ")
		}
		query.WriteString(`"` + strings.ReplaceAll(string(runes[i:i+gram]), `"`, `""`) + `"`)
	}
	return query.String()
}
