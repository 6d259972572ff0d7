package relational

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"edgesync/dire"
)

// When an assertion was last seen, and by which chunk of which run, changes with
// every run, while most of what a run says is as it was. So sightings are kept
// apart from what is asserted, those of assertions whose numbers follow each other
// in one row: a batch that repeats 5,000 assertions writes some three hundred rows,
// and one that meets them from all over the store no more than 5,000.

// sighting is that of one assertion. Times are microseconds since 1970 UTC, or
// never.
type sighting struct {
	// last is when the assertion was seen; device is when the device of the same
	// number was.
	last, device int64
	by           sightedBy
	retracted    bool
}

// sightedBy is a chunk of a run of a source, which goes by the number of its name.
// One without a source is none.
type sightedBy struct {
	source, started, chunk int64
	run                    string
}

// see notes that a chunk named the assertion.
func (s *sighting) see(by sightedBy, at int64) { s.by, s.last = by, at }

// chunk is by as dire knows it.
func (s *sighting) chunk() dire.Run {
	return dire.Run{ID: s.by.run, Started: timeOf(s.by.started), Chunk: int(s.by.chunk)}
}

// sightedBy is a run's chunk as it is stored.
func sightedByRun(source int64, run dire.Run) sightedBy {
	return sightedBy{source: source, started: microsOf(run.Started), chunk: int64(run.Chunk), run: run.ID}
}

// A row holds the sightings of blockSize assertions: a cell for each, which is when
// it was seen, when its device was, and of a byte the number of who saw it among
// those that follow, from 1, and whether it is retracted. What of it is needed where
// rows of devices are read is therefore always at the same place.
const (
	blockBits = 4
	blockSize = 1 << blockBits

	cellSize     = 17
	deviceInCell = 8
	cellsSize    = blockSize * cellSize

	retractedBit = 1 << 7
)

// deviceSeen is when the device of a number was seen, as seenColumn scans it.
func deviceSeen(number string) string {
	at := `(` + number + ` & ` + strconv.Itoa(blockSize-1) + `) * ` + strconv.Itoa(cellSize) + ` + ` + strconv.Itoa(deviceInCell+1)
	return `(SELECT substr(g.body, CAST(` + at + ` AS integer), 8) FROM sighting g WHERE g.block = ` + number + ` >> ` + strconv.Itoa(blockBits) + `)`
}

// block is a row.
type block struct {
	cells [blockSize]sighting
	// stored is whether the row is there, changed whether it is another now.
	stored, changed bool
}

func newBlock() *block {
	b := &block{}
	for i := range b.cells {
		b.cells[i] = sighting{last: never, device: never}
	}
	return b
}

// encode writes a block. Who saw nothing any more is left out.
func (b *block) encode() []byte {
	body := make([]byte, cellsSize, cellsSize+96)
	var by []sightedBy
	for i := range b.cells {
		c, cell := &b.cells[i], body[i*cellSize:]
		binary.BigEndian.PutUint64(cell, uint64(c.last))
		binary.BigEndian.PutUint64(cell[deviceInCell:], uint64(c.device))
		var flags byte
		if c.by != (sightedBy{}) {
			// Neighbours were mostly seen by one.
			at := len(by) - 1
			if at < 0 || by[at] != c.by {
				at = slices.Index(by, c.by)
			}
			if at < 0 {
				by, at = append(by, c.by), len(by)
			}
			flags = byte(at + 1)
		}
		if c.retracted {
			flags |= retractedBit
		}
		cell[cellSize-1] = flags
	}
	for _, one := range by {
		body = binary.BigEndian.AppendUint64(body, uint64(one.source))
		body = binary.BigEndian.AppendUint64(body, uint64(one.started))
		body = binary.BigEndian.AppendUint64(body, uint64(one.chunk))
		body = binary.BigEndian.AppendUint32(body, uint32(len(one.run)))
		body = append(body, one.run...)
	}
	return body
}

// errDamaged is of a row that this program did not write.
var errDamaged = errors.New("damaged: check the store")

// decodeBlock reads what encode wrote, or returns errDamaged.
func decodeBlock(body []byte) (*block, error) {
	damaged := func(what string) (*block, error) { return nil, fmt.Errorf("%s: %w", what, errDamaged) }
	if len(body) < cellsSize {
		return damaged(strconv.Itoa(len(body)) + " bytes are too few")
	}
	const head = 3*8 + 4
	by := make([]sightedBy, 1, 4)
	for rest := body[cellsSize:]; len(rest) > 0; {
		if len(rest) < head || uint64(len(rest)-head) < uint64(binary.BigEndian.Uint32(rest[head-4:])) {
			return damaged("a run is cut short")
		}
		end := head + int(binary.BigEndian.Uint32(rest[head-4:]))
		by = append(by, sightedBy{
			source: int64(binary.BigEndian.Uint64(rest)), started: int64(binary.BigEndian.Uint64(rest[8:])),
			chunk: int64(binary.BigEndian.Uint64(rest[16:])), run: string(rest[head:end]),
		})
		rest = rest[end:]
	}
	b := &block{stored: true}
	for i := range b.cells {
		c, cell := &b.cells[i], body[i*cellSize:]
		flags := cell[cellSize-1]
		at := int(flags &^ retractedBit)
		if at >= len(by) {
			return damaged("a run is missing")
		}
		*c = sighting{
			last: int64(binary.BigEndian.Uint64(cell)), device: int64(binary.BigEndian.Uint64(cell[deviceInCell:])),
			by: by[at], retracted: flags&retractedBit != 0,
		}
	}
	return b, nil
}

// sightings are those that a transaction has read, by their blocks.
type sightings map[int64]*block

// sightings are the transaction's, with those of the numbers among them.
func (t Tenant) sightings(ctx context.Context, numbers ...[]int64) (sightings, error) {
	state := t.s.State()
	if state.sightings == nil {
		state.sightings = sightings{}
	}
	return state.sightings, state.sightings.read(ctx, t.s, numbers...)
}

// read adds those of the numbers.
func (g sightings) read(ctx context.Context, s Session, numbers ...[]int64) error {
	missing := NewInts("block", 0)
	for _, list := range numbers {
		for _, number := range list {
			at := number >> blockBits
			if g[at] == nil {
				g[at] = newBlock()
				missing.Add(at)
			}
		}
	}
	if missing.Len() == 0 {
		return nil
	}
	var at int64
	var body []byte
	err := s.Each(ctx, `SELECT block, body FROM sighting WHERE block AMONG rows(?)`, []any{NewRows(missing)},
		func(row Row) (err error) {
			if err = row.Scan(&at, &body); err == nil {
				g[at], err = decodeBlock(body)
			}
			if err != nil {
				err = fmt.Errorf("row %d: %w", at, err)
			}
			return err
		})
	if err != nil {
		return fmt.Errorf("read sightings: %w", err)
	}
	return nil
}

// of is the sighting of a number that was read.
func (g sightings) of(number int64) *sighting {
	return &g[number>>blockBits].cells[number&(blockSize-1)]
}

// change is of for who changes it.
func (g sightings) change(number int64) *sighting {
	g[number>>blockBits].changed = true
	return g.of(number)
}

// write stores what was changed.
func (g sightings) write(ctx context.Context, s Session) error {
	var changed []int64
	for at, block := range g {
		if block.changed {
			changed = append(changed, at)
		}
	}
	slices.Sort(changed)
	fresh, stored := newBlockRows(), newBlockRows()
	for _, at := range changed {
		block, to := g[at], stored
		if !block.stored {
			to = fresh
		}
		to.block.Add(at)
		to.body.Add(block.encode())
		block.stored, block.changed = true, false
	}
	err := s.Insert(ctx, "sighting", fresh.rows())
	if err == nil && stored.block.Len() > 0 {
		_, err = s.Exec(ctx, `UPDATE sighting SET body = b.body FROM rows(?) b WHERE sighting.block = b.block`, stored.rows())
	}
	if err != nil {
		return fmt.Errorf("write sightings: %w", err)
	}
	return nil
}

// blockRows are rows of sighting.
type blockRows struct {
	block *Ints
	body  *Blobs
}

func newBlockRows() *blockRows { return &blockRows{NewInts("block", 0), NewBlobs("body", 0)} }

func (r *blockRows) rows() *Rows { return NewRows(r.block, r.body) }

// eachSighting goes through those of all assertions of a source, by their numbers.
func (t Tenant) eachSighting(ctx context.Context, source string, visit func(number int64, s *sighting)) error {
	names, err := namesOf(ctx, t.s)
	if err != nil {
		return err
	}
	wanted, ok := names.number[source]
	if !ok {
		return nil
	}
	var at int64
	var body []byte
	return t.s.Each(ctx, `SELECT block, body FROM sighting ORDER BY block`, nil, func(row Row) error {
		if err := row.Scan(&at, &body); err != nil {
			return err
		}
		b, err := decodeBlock(body)
		if err != nil {
			return err
		}
		for i := range b.cells {
			if b.cells[i].by.source == wanted {
				visit(at<<blockBits|int64(i), &b.cells[i])
			}
		}
		return nil
	})
}

// CheckSightings tells of rows that cannot be read, and how many assertions have a
// sighting that is missing, another source's, or of one that lives where the
// assertion is retracted.
func CheckSightings(ctx context.Context, s Session) (found []string, err error) {
	wrong := 0
	type stands struct {
		number, source int64
		retracted      bool
	}
	var page []stands
	compare := func() error {
		numbers := make([]int64, len(page))
		for i := range page {
			numbers[i] = page[i].number
		}
		seen := sightings{}
		if err := seen.read(ctx, s, numbers); err != nil {
			return err
		}
		for _, a := range page {
			if at := seen.of(a.number); at.by.source != a.source || at.retracted != a.retracted {
				wrong++
			}
		}
		page = page[:0]
		return nil
	}
	err = s.Stream(ctx, `SELECT id, source, retracted_at IS NOT NULL FROM assertion ORDER BY id`, nil, func(row Row) error {
		var a stands
		if err := row.Scan(&a.number, &a.source, &a.retracted); err != nil {
			return err
		}
		if page = append(page, a); len(page) < assertionsAtOnce {
			return nil
		}
		return compare()
	})
	if err == nil {
		err = compare()
	}
	switch {
	case errors.Is(err, errDamaged):
		return []string{err.Error()}, nil
	case err != nil:
		return nil, fmt.Errorf("check sightings: %w", err)
	case wrong > 0:
		return []string{strconv.Itoa(wrong) + " assertions whose sighting is not theirs"}, nil
	}
	return nil, nil
}
