package relational

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"edgesync/dire"
)

// probed is which assertions of a source were asked for, and where those are
// that are stored. It spares a plan that follows asking again.
type probed struct {
	source string
	// keys holds a place for each key that was asked for.
	keys map[string]place
}

// place is the number of an assertion and that of its device, 0 for one that is
// not stored.
type place struct{ assertion, device int64 }

// Neighbourhood reads what dire.Neighbourhood describes. What a batch repeats is
// found out first; the walk starts only from the rest. Homes are looked for only
// once one turned out to be taken: it takes two equal sums of SHA-256.
func (t Tenant) Neighbourhood(ctx context.Context, probe dire.Probe) (dire.Neighbourhood, error) {
	fail := func(err error) (dire.Neighbourhood, error) {
		return dire.Neighbourhood{}, fmt.Errorf("read neighbourhood: %w", err)
	}
	names, err := namesOf(ctx, t.s)
	if err != nil {
		return fail(err)
	}
	var near dire.Neighbourhood
	if near.Known, err = t.known(ctx, names, &probe); err != nil {
		return fail(err)
	}
	reach := probe.Reach(near.Known)
	if t.s.State().Careful {
		if near.Homes, err = t.homes(ctx, reach.Homes); err != nil {
			return fail(err)
		}
	}
	if near.Assertions, err = t.near(ctx, names, &reach); err != nil {
		return fail(err)
	}
	if near.Links, err = t.linksOf(ctx, near.Assertions); err != nil {
		return fail(err)
	}
	return near, nil
}

// never stands for a time that is missing, where rows are many.
const never = -1<<63 + 1

// sooner reads a column of times, NULL as never.
func sooner(column string) string {
	return `coalesce(` + column + `, ` + strconv.FormatInt(never, 10) + `)`
}

// microsOf is a time as sooner reads it.
func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMicro()
}

// timeOf is the time that sooner reads.
func timeOf(micros int64) time.Time {
	if micros == never {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// deviceHome is the id of the device of an assertion a.
const deviceHome = `CASE WHEN a.device = a.id THEN a.home ELSE (SELECT h.home FROM assertion h WHERE h.id = a.device) END`

var selectKnown = `
	SELECT a.key, a.id, a.device, a.partition, a.hash, ` + deviceHome + `, ` + sooner("a.retracted_at") + `
	FROM assertion a WHERE a.source = ? AND a.key AMONG rows(?)`

// known reads what is stored of a probe's keys.
func (t Tenant) known(ctx context.Context, names *names, probe *dire.Probe) ([]dire.Known, error) {
	state := t.s.State()
	asked := &probed{source: probe.Source, keys: make(map[string]place, len(probe.Keys))}
	state.probed = asked
	for _, key := range probe.Keys {
		asked.keys[key] = place{}
	}
	source, ok := names.number[probe.Source]
	if !ok || len(probe.Keys) == 0 {
		return nil, nil
	}
	var found []dire.Known
	var at place
	var partition, retracted int64
	var hash, home []byte
	var numbers []int64
	err := t.s.Each(ctx, selectKnown, []any{source, NewRows(&Texts{name: "key", Cells: probe.Keys})}, func(r Row) error {
		var k dire.Known
		err := r.Scan(&k.Key, &at.assertion, &at.device, &partition, &hash, &home, &retracted)
		if err != nil {
			return err
		}
		if k.Partition, err = names.of(partition); err != nil {
			return err
		}
		if k.Hash, err = hashOf(hash); err != nil {
			return err
		}
		k.DeviceID = formatHome(home)
		k.RetractedAt = timeOf(retracted)
		asked.keys[k.Key] = at
		found, numbers = append(found, k), append(numbers, at.assertion)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sightings, err := t.sightings(ctx, numbers)
	for i := range found {
		if err == nil {
			s := sightings.of(numbers[i])
			found[i].Run, found[i].LastSeen = s.chunk(), timeOf(s.last)
		}
	}
	return found, err
}

// homes are those of ids that some assertion has as its home id.
func (t Tenant) homes(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	scan := func(row Row) (id string, err error) { return id, row.Scan(homeColumn{&id}) }
	return All(ctx, t.s, scan, `SELECT a.home FROM rows(?) b LOOKUP assertion a ON a.home = b.home`, homeRows(ids))
}

// selectAssertion reads an assertion a and its fact f.
var selectAssertion = `
	SELECT a.id, a.source, a.key, a.partition, f.facts, a.hash, a.home, ` + deviceHome + `,
		` + sooner("f.first_seen") + `, ` + sooner("f.changed") + `, ` + sooner("a.retracted_at")

// numbered is an assertion with its number. Its sighting is read afterwards.
type numbered struct {
	dire.Assertion
	number int64
}

// scanAssertion scans what selectAssertion reads.
func (n *names) scanAssertion(row Row) (numbered, error) {
	var a numbered
	var source, partition, first, changed, retracted int64
	var facts, hash, home, device []byte
	err := row.Scan(&a.number, &source, &a.Key, &partition, &facts, &hash, &home, &device, &first, &changed, &retracted)
	if err != nil {
		return a, err
	}
	if a.Source, err = n.of(source); err != nil {
		return a, err
	}
	if a.Partition, err = n.of(partition); err != nil {
		return a, err
	}
	if a.Facts, err = dire.DecodeFacts(facts); err != nil {
		return a, err
	}
	if a.Hash, err = hashOf(hash); err != nil {
		return a, err
	}
	a.HomeID, a.DeviceID = formatHome(home), formatHome(device)
	a.FirstSeen, a.Changed, a.RetractedAt = timeOf(first), timeOf(changed), timeOf(retracted)
	return a, nil
}

// sighted are assertions with when they were seen, and by whom.
func sighted(ctx context.Context, s Session, seen sightings, found []numbered) ([]dire.Assertion, error) {
	numbers := make([]int64, len(found))
	for i := range found {
		numbers[i] = found[i].number
	}
	if err := seen.read(ctx, s, numbers); err != nil || len(found) == 0 {
		return nil, err
	}
	assertions := make([]dire.Assertion, len(found))
	for i, number := range numbers {
		s := seen.of(number)
		found[i].Run, found[i].LastSeen = s.chunk(), timeOf(s.last)
		assertions[i] = found[i].Assertion
	}
	return assertions, nil
}

// hashOf is a stored hash: what somebody else wrote there is an error.
func hashOf(stored []byte) (hash [32]byte, err error) {
	if len(stored) != len(hash) {
		return hash, fmt.Errorf("read assertion: its hash has %d bytes, not %d: check the store", len(stored), len(hash))
	}
	return [32]byte(stored), nil
}

// nearMembers adds the assertions of the devices near to the common tables.
const nearMembers = `,
member (id) AS (
	SELECT a.id FROM near n LOOKUP assertion a ON a.id = n.device AND a.device = a.id
	UNION ALL
	SELECT a.id FROM near n LOOKUP assertion a ON a.device = n.device AND a.device <> a.id
)`

// near reads the assertions a batch can touch.
func (t Tenant) near(ctx context.Context, names *names, reach *dire.Reach) ([]dire.Assertion, error) {
	if len(reach.Keys)+len(reach.Identifiers)+len(reach.Members) == 0 {
		return nil, nil
	}
	n := len(reach.Identifiers)
	hardware := [2]*Texts{NewTexts("value", n), NewTexts("kind", n)}
	addresses := [2]*Texts{NewTexts("value", n/2), NewTexts("kind", n/2)}
	for _, identifier := range reach.Identifiers {
		to := &addresses
		if identifier.Kind == dire.IdentifierMAC || identifier.Kind == dire.IdentifierSerial {
			to = &hardware
		}
		to[0].Add(identifier.Value)
		to[1].Add(string(identifier.Kind))
	}
	// A source or a partition without a number has no rows, and no row has 0.
	source, partition := names.number[reach.Source], names.number[reach.Partition]
	found, err := All(ctx, t.s, names.scanAssertion, t.s.Dialect().Walk+nearMembers+selectAssertion+`
		FROM member m
		LOOKUP assertion a ON a.id = m.id
		LOOKUP fact f ON f.assertion = a.id`,
		source, NewRows(&Texts{name: "key", Cells: reach.Keys}), homeRows(reach.Members),
		partition, NewRows(hardware[0], hardware[1]), partition, NewRows(addresses[0], addresses[1]))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	seen, err := t.sightings(ctx)
	if err != nil {
		return nil, err
	}
	return sighted(ctx, t.s, seen, found)
}
