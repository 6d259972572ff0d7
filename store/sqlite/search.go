package sqlite

import (
	"strings"
	"unicode/utf8"

	"edgesync/core"
	"edgesync/dire"
)

// searchText is what a search looks in: each value on a line of its own, so that
// no search matches across two of them.
func searchText(d *dire.Device) string {
	values := append([]string{d.ID, d.Hostname, d.IP, d.MAC}, d.IPs...)
	values = append(values, d.MACs...)
	var text strings.Builder
	written := map[string]bool{"": true}
	for _, value := range values {
		if written[value] {
			continue
		}
		written[value] = true
		text.WriteString(searchTerm(value))
		text.WriteByte('\n')
	}
	return text.String()
}

// searchTerm folds case, and line ends, which separate values.
func searchTerm(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "\n", "\x1e")
}

const (
	// gram is how many characters the index of device_text knows rows by.
	gram = 3
	// mostGrams are enough to leave few rows to look at: the more there are, the
	// longer their rows take to be put together.
	mostGrams = 16
)

// byStored is the order of devices that a search finds: that in which they were
// first stored. They are found in it, so that a limit ends the reading early.
const byStored = `f.id`

// searched is where devices d whose text holds a term are read from.
func searched(term string) (from string, args []any) {
	found, args := texts(term)
	return `FROM (` + found + `) f CROSS JOIN device d ON d.id = f.id WHERE true`, args
}

// counted is searched for who only counts: no record is read. Few devices are
// retracted.
func counted(filter core.DeviceFilter) (from string, args []any) {
	found, args := texts(searchTerm(filter.Search))
	from = `FROM (` + found + `) f`
	switch filter.State {
	case "":
	case "retracted":
		from += ` WHERE f.id IN (SELECT id FROM device WHERE retracted = 1)`
	default:
		from += ` WHERE f.id NOT IN (SELECT id FROM device WHERE retracted = 1)`
	}
	return from, args
}

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
