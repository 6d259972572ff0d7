package source_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"edgesync/syncrun/source"
)

func TestIDSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set source.IDSet
		model := map[source.ID]bool{}
		id := rapid.OneOf(rapid.Uint64Range(0, 100_000), rapid.Uint64Range(math.MaxUint64-9, math.MaxUint64), rapid.Uint64())
		for range rapid.IntRange(0, 40).Draw(t, "runs") {
			first, length := id.Draw(t, "first"), rapid.Uint64Range(1, 3_000).Draw(t, "length")
			for i := range length {
				id := source.ID(first + i)
				if set.Has(id) != model[id] || set.Add(id) == model[id] || !set.Has(id) {
					t.Fatalf("id %d", id)
				}
				model[id] = true
			}
		}
		if set.Len() != int64(len(model)) {
			t.Fatalf("%d ids, want %d", set.Len(), len(model))
		}
	})
}

// page is what a walk is told of one.
type page struct {
	ids   []source.ID
	total int64
	more  bool
}

func ids(from, to source.ID) []source.ID {
	var list []source.ID
	for id := from; id <= to; id++ {
		list = append(list, id)
	}
	return list
}

func TestWalkTellsWhetherAListingCameWhole(t *testing.T) {
	for _, c := range []struct {
		name    string
		pages   []page
		partial bool
		fails   bool
	}{
		{"whole", []page{{ids(1, 5), 10, true}, {ids(6, 10), 10, false}}, false, false},
		{"empty", []page{{nil, 0, false}}, false, false},
		{"grew at its end", []page{{ids(1, 5), 9, true}, {ids(6, 10), 10, false}}, false, false},
		{"ended early", []page{{ids(1, 5), 10, false}}, true, false},
		{"a device moved to a page already read", []page{{ids(1, 5), 10, true}, {ids(7, 10), 9, false}}, true, false},
		{"a device was put before", []page{{ids(1, 5), 10, true}, {ids(5, 10), 11, false}}, true, false},
		{"more than the total", []page{{ids(1, 5), 4, false}}, true, false},
		{"no total", []page{{ids(1, 5), -1, false}}, true, false},
		{"one page of nothing new", []page{{ids(1, 5), 10, true}, {ids(1, 5), 10, true}, {ids(6, 10), 10, false}}, false, false},
		{"an empty page in the middle", []page{{ids(1, 5), 10, true}, {nil, 10, true}}, false, true},
		{"the same page for ever", []page{{ids(1, 5), 10, true}, {ids(1, 5), 10, true}, {ids(1, 5), 10, true}, {ids(1, 5), 10, true}}, false, true},
		{"new devices for ever", []page{{ids(1, 1_000), 10, true}, {ids(1_001, 2_000), 10, true}}, false, true},
	} {
		var walk source.Walk
		var err error
		for _, p := range c.pages {
			fresh := 0
			for _, id := range p.ids {
				if walk.Add(id) {
					fresh++
				}
			}
			err = walk.Page(len(p.ids), fresh, p.total, p.more)
		}
		if (err != nil) != c.fails || !c.fails && (walk.Partial() != "") != c.partial {
			t.Errorf("%s: error %v, partial %q", c.name, err, walk.Partial())
		}
	}
}

// A page of 32 MiB of "null" became gigabytes of devices.
// A source that never gives all it counts was told to have changed, run after run.
func TestWalkSaysWhatMayBeWrong(t *testing.T) {
	var short, long source.Walk
	for id := range source.ID(5) {
		short.Add(id + 1)
		long.Add(id + 1)
	}
	if err := errors.Join(short.Page(5, 5, 10, false), long.Page(5, 5, 4, false)); err != nil {
		t.Fatal(err)
	}
	if text := short.Partial(); !strings.Contains(text, "pages end too early") {
		t.Errorf("too few are told as %q", text)
	}
	if text := long.Partial(); strings.Contains(text, "too early") {
		t.Errorf("too many are told as %q", text)
	}
}

func TestAnAnswerHasALargestNumberOfElements(t *testing.T) {
	var into []struct{ Tags source.Texts }
	for name, c := range map[string]struct {
		body string
		want source.Reason
	}{
		"many":               {"[" + strings.Repeat("{},", 199_999) + "{}]", ""},
		"too many":           {"[" + strings.Repeat("null,", 200_000) + "{}]", source.ReasonSize},
		"too many in all":    {"[" + strings.Repeat(`{"tags":[`+strings.Repeat("1,", 99_999)+"1]},", 50) + "{}]", source.ReasonSize},
		"commas in a string": {`[{"tags":"\"` + strings.Repeat(",[{", 300_000) + `"}]`, ""},
		"too deep":           {strings.Repeat("[", 20_000), source.ReasonAnswer},
		"not balanced":       {strings.Repeat("]", 20_000), source.ReasonAnswer},
	} {
		if err := source.Decode([]byte(c.body), &into); reason(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", "<html>", `{"name":"x"}`, `{"a":[1,{"name":null}]}`, `[[[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var into struct {
			A source.Text
			B source.Texts
			C source.Named
			D source.ID
		}
		if err := source.Decode(data, &into); err != nil && reason(err) != source.ReasonAnswer && reason(err) != source.ReasonSize {
			t.Errorf("error %v", err)
		}
		source.Property(data, "a")
		source.Addresses(string(data))
		source.MACs(string(data))
		_, _ = source.ParseBlacklist([]string{string(data)})
	})
}
