package diretest

import (
	"cmp"

	"edgesync/dire"
)

// Reversible takes an empty store through a stream of which operators are part:
// what they say holds through every batch, exactly as the rules would have it,
// and once it is taken back the store is what the rules alone make of the
// sources.
func Reversible(t T, store Store, s *Stream) {
	t.Helper()
	rules := NewOracle()
	words := map[dire.Pair]bool{}
	relink := func(c dire.LinkChange) {
		rules.Relink(c)
		store.Relink(t, c)
	}
	for i := range 1 + s.Draw(cmp.Or(s.Batches, 8), "batches") {
		b := s.Batch()
		store.Ingest(t, b)
		rules.Hear(t, b, i)
		rows := rules.Assertions()
		if s.Draw(6, "snapshot") == 5 {
			r := s.Retractions(rows)
			rules.Retract(r)
			store.Retract(t, r)
		}
		for range s.Draw(3, "words") {
			c := s.LinkChange(rows)
			for _, pair := range append(c.Link, c.Apart...) {
				words[pair] = true
			}
			relink(c)
		}
		rows = Check(t, store, rules)
		Simulates(t, rows, rules.links())
	}
	undo := dire.LinkChange{At: Minutes(17), By: "local:0"}
	for pair := range words {
		undo.Drop = append(undo.Drop, pair)
	}
	relink(undo)
	Check(t, store, rules)
	if len(rules.apart) > 0 {
		t.Fatalf("%d words are left", len(rules.apart))
	}
}
