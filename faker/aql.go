package faker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"edgesync/faker/inventory"
)

// aql is a query the faker understands: "in:devices" and then terms KEY:VALUE,
// all of which must hold. A value may be quoted and may list alternatives by
// comma; "!" before a term negates it. Text is compared without regard to case.
type aql struct {
	text  string
	terms []term
}

type term struct {
	holds  func(inventory.Device) bool
	negate bool
}

// ignoredKeys are accepted and change nothing: every device is seen all the
// time, and the order is always that of the ids.
var ignoredKeys = map[string]bool{"timeframe": true, "orderby": true}

// textKeys read the values of a device a term can ask for.
var textKeys = map[string]func(inventory.Device) []string{
	"id":              func(d inventory.Device) []string { return []string{strconv.Itoa(d.Index + 1)} },
	"name":            func(d inventory.Device) []string { return []string{d.Name} },
	"type":            func(d inventory.Device) []string { return []string{d.Type} },
	"category":        func(d inventory.Device) []string { return []string{d.Category} },
	"manufacturer":    func(d inventory.Device) []string { return []string{d.Manufacturer} },
	"brand":           func(d inventory.Device) []string { return []string{d.Manufacturer} },
	"model":           func(d inventory.Device) []string { return []string{d.Model} },
	"operatingsystem": func(d inventory.Device) []string { return []string{d.OS} },
	"site":            func(d inventory.Device) []string { return []string{d.Site} },
	"boundary":        func(d inventory.Device) []string { return []string{d.Boundary} },
	"boundaries":      func(d inventory.Device) []string { return []string{d.Boundary} },
	"tag":             func(d inventory.Device) []string { return d.Tags },
	"tags":            func(d inventory.Device) []string { return d.Tags },
	"macaddress":      func(d inventory.Device) []string { return d.MACs },
}

func parseAQL(text string) (aql, error) {
	words, err := splitAQL(text)
	if err != nil {
		return aql{}, err
	}
	query := aql{text: strings.Join(words, "\x00")}
	inDevices := false
	for _, word := range words {
		key, value, found := strings.Cut(word, ":")
		key, negate := strings.CutPrefix(strings.ToLower(key), "!")
		switch {
		case !found && strings.HasPrefix(key, "orderby="):
		case !found || value == "":
			return aql{}, fmt.Errorf("%q is not of the form key:value", word)
		case key == "in" && strings.EqualFold(value, "devices") && !negate:
			inDevices = true
		case ignoredKeys[key]:
		default:
			holds, err := condition(key, value)
			if err != nil {
				return aql{}, err
			}
			query.terms = append(query.terms, term{holds: holds, negate: negate})
		}
	}
	if !inDevices {
		return aql{}, errors.New("the query must say in:devices")
	}
	return query, nil
}

// splitAQL cuts at blanks outside quotes and drops the quotes.
func splitAQL(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted, begun := false, false
	end := func() {
		if begun {
			words = append(words, word.String())
			word.Reset()
			begun = false
		}
	}
	for _, char := range text {
		switch {
		case char == '"':
			quoted, begun = !quoted, true
		case !quoted && (char == ' ' || char == '\t' || char == '\n'):
			end()
		default:
			begun = true
			word.WriteRune(char)
		}
	}
	end()
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	return words, nil
}

func condition(key, value string) (func(inventory.Device) bool, error) {
	if key == "risklevel" {
		return riskCondition(value)
	}
	values, known := textKeys[key]
	if !known {
		return nil, fmt.Errorf("unknown key %q", key)
	}
	wanted := strings.Split(value, ",")
	return func(device inventory.Device) bool {
		for _, have := range values(device) {
			for _, want := range wanted {
				if strings.EqualFold(have, strings.TrimSpace(want)) {
					return true
				}
			}
		}
		return false
	}, nil
}

// riskCondition reads "7", ">5" and "<3".
func riskCondition(value string) (func(inventory.Device) bool, error) {
	bound, err := strconv.Atoi(strings.TrimLeft(value, "<>"))
	if err != nil {
		return nil, fmt.Errorf("riskLevel wants a number, %q is none", value)
	}
	switch value[0] {
	case '>':
		return func(d inventory.Device) bool { return d.Risk > bound }, nil
	case '<':
		return func(d inventory.Device) bool { return d.Risk < bound }, nil
	default:
		return func(d inventory.Device) bool { return d.Risk == bound }, nil
	}
}

func (q aql) matches(device inventory.Device) bool {
	for _, term := range q.terms {
		if term.holds(device) == term.negate {
			return false
		}
	}
	return true
}

// matches is where the devices a query finds are: every stride-th of them, so
// that a page is found without a look at the whole inventory and without a list
// of it in memory.
type matches struct {
	query  aql
	size   int
	device func(int) inventory.Device
	total  int
	marks  []int
}

const stride = 1000

func find(query aql, size int, device func(int) inventory.Device) *matches {
	found := &matches{query: query, size: size, device: device, total: size}
	if len(query.terms) == 0 {
		return found
	}
	found.total = 0
	for index := range size {
		if query.matches(device(index)) {
			if found.total%stride == 0 {
				found.marks = append(found.marks, index)
			}
			found.total++
		}
	}
	return found
}

// each visits up to count matches, beginning with the from-th.
func (m *matches) each(from, count int, visit func(index int)) {
	count = min(count, m.total-from)
	if count <= 0 {
		return
	}
	if len(m.query.terms) == 0 {
		for index := from; index < from+count; index++ {
			visit(index)
		}
		return
	}
	skip := from % stride
	for index := m.marks[from/stride]; count > 0; index++ {
		if !m.query.matches(m.device(index)) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		visit(index)
		count--
	}
}

// queryCache keeps what find learnt of the last queries.
type queryCache struct {
	mu    sync.Mutex
	found map[string]*matches
}

// maxQueries bounds the cache: a sync asks a handful of queries over and over.
const maxQueries = 64

func (c *queryCache) of(query aql, size int, device func(int) inventory.Device) *matches {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, known := c.found[query.text]; known {
		return found
	}
	if c.found == nil || len(c.found) >= maxQueries {
		c.found = map[string]*matches{}
	}
	found := find(query, size, device)
	c.found[query.text] = found
	return found
}
