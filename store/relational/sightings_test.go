package relational

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestSightingsComeBackAsTheyWere takes rows with every kind of cell, up to as many
// runs as there are cells.
func TestSightingsComeBackAsTheyWere(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for runs := range blockSize + 1 {
		b := newBlock()
		for i := range b.cells {
			if runs == 0 || random.IntN(10) == 0 {
				continue
			}
			n := int64(random.IntN(runs) + 1)
			b.cells[i] = sighting{last: n, device: -n, retracted: n%3 == 0, by: sightedBy{source: n, started: never, chunk: n * n}}
			if n > 1 {
				b.cells[i].by.started, b.cells[i].by.run = n, fmt.Sprintf("rün %0*d", n, n)
			}
		}
		body := b.encode()
		back, err := decodeBlock(body)
		if err != nil {
			t.Fatal(err)
		}
		if back.cells != b.cells || !back.stored || back.changed {
			t.Errorf("%d runs: %+v came back as %+v", runs, b.cells, back.cells)
		}
		if runs == 0 && len(body) != cellsSize {
			t.Errorf("a row that nothing is in has %d bytes", len(body))
		}
		// Who is named no more is forgotten.
		for i := range back.cells {
			back.cells[i].by = sightedBy{source: 1, run: "last"}
		}
		if want := cellsSize + 28 + len("last"); len(back.encode()) != want {
			t.Errorf("seen by one run a row has %d bytes, want %d", len(back.encode()), want)
		}
	}
}

func FuzzDecodeBlock(f *testing.F) {
	b := newBlock()
	b.cells[3] = sighting{last: 1, device: 2, by: sightedBy{source: 1, started: 2, chunk: 3, run: "run"}}
	b.cells[9] = sighting{last: 1, device: never, retracted: true, by: sightedBy{source: 2, started: never}}
	good := b.encode()
	wrong := bytes.Clone(good)
	wrong[cellSize-1] = 9
	for _, body := range [][]byte{nil, good, good[:cellsSize-1], good[:len(good)-1], good[:cellsSize+20], append(good, 0), wrong,
		append(bytes.Clone(good[:cellsSize]), bytes.Repeat([]byte{0xff}, 28)...)} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		read, err := decodeBlock(body)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Errorf("error is %v", err)
			}
			return
		}
		again, err := decodeBlock(read.encode())
		if err != nil || again.cells != read.cells {
			t.Errorf("%+v was written as %+v, error %v", read.cells, again, err)
		}
	})
}
