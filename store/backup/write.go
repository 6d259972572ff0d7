package backup

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"edgesync/store/dump"
)

// Contents are what a backup is written of.
type Contents struct {
	// Header's Format, Platform and Parts are filled in.
	Header   Header
	Snapshot Snapshot
	// Keyset opens what is sealed in the store.
	Keyset []byte
	Files  []File
	// Progress, if set, is told of each part and of rows on the way.
	Progress func(Progress)
}

// progressRows lie between two that are told of.
const progressRows = 10_000

// Write writes a backup, in one pass and with the memory of a few rows.
func Write(ctx context.Context, into io.Writer, lock Lock, contents Contents) (Summary, error) {
	encrypted, err := lock.encrypt(into)
	if err != nil {
		return Summary{}, err
	}
	packed, err := zstd.NewWriter(encrypted, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return Summary{}, fmt.Errorf("write backup: %w", err)
	}
	w := &writer{ctx: ctx, out: packed, contents: contents}
	w.summary.Header = contents.Header
	err = w.all()
	if err == nil {
		err = packed.Close()
	}
	if err == nil {
		err = encrypted.Close()
	}
	if err != nil {
		return Summary{}, fmt.Errorf("write backup: %w", err)
	}
	return w.summary, nil
}

type writer struct {
	ctx      context.Context
	out      io.Writer
	contents Contents
	summary  Summary
	rows     []byte
	head     [1 + binary.MaxVarintLen64]byte
}

func (w *writer) all() error {
	h := &w.summary.Header
	parts := w.contents.Snapshot.Parts()
	h.Format, h.Platform = Format, w.contents.Snapshot.Platform()
	// Without the platform's part there is no platform: it is last, so that what
	// is restored from a stream that breaks off never is one.
	for _, part := range parts {
		if part.Tenant != uuid.Nil {
			h.Parts = append(h.Parts, part)
		}
	}
	for _, part := range parts {
		if part.Tenant == uuid.Nil {
			h.Parts = append(h.Parts, part)
		}
	}
	if _, err := io.WriteString(w.out, magic); err != nil {
		return err
	}
	if err := w.encode(recordHeader, h); err != nil {
		return err
	}
	if err := w.record(recordKeyset, w.contents.Keyset); err != nil {
		return err
	}
	for _, file := range w.contents.Files {
		head, err := json.Marshal(fileRecord{file.Name, len(file.Content)})
		if err != nil {
			return err
		}
		if err := w.record(recordFile, append(append(head, '\n'), file.Content...)); err != nil {
			return err
		}
	}
	for _, part := range h.Parts {
		if err := w.part(part); err != nil {
			return fmt.Errorf("%s: %w", part.Name(), err)
		}
	}
	return w.encode(recordEnd, endRecord{len(h.Parts), w.summary.Rows})
}

func (w *writer) part(part dump.Part) error {
	w.tell(part)
	if err := w.encode(recordPart, part); err != nil {
		return err
	}
	sums, told := dump.Sums{}, map[string]sumRecord{}
	err := w.contents.Snapshot.Dump(w.ctx, part.Tenant, func(table dump.Table) error {
		var sum dump.Sum
		err := w.table(part, sum.Over(table))
		sums[table.Name], told[table.Name] = sum, sumRecord{sum.Rows, sum.Hash()}
		return err
	})
	if err != nil {
		return err
	}
	w.summary.Sums = append(w.summary.Sums, sums.Total())
	return w.encode(recordSums, told)
}

func (w *writer) table(part dump.Part, table dump.Table) error {
	if err := w.encode(recordTable, tableRecord{table.Name, table.Columns}); err != nil {
		return err
	}
	w.rows = w.rows[:0]
	for {
		row, err := table.Next()
		if err != nil {
			return fmt.Errorf("table %s: %w", table.Name, err)
		}
		if row == nil {
			return w.flush()
		}
		if w.rows, err = appendRow(w.rows, row); err != nil {
			return fmt.Errorf("table %s: %w", table.Name, err)
		}
		if w.summary.Rows++; w.summary.Rows%progressRows == 0 {
			w.tell(part)
		}
		if len(w.rows) >= rowsTarget {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
}

func (w *writer) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	err := w.record(recordRows, w.rows)
	w.rows = w.rows[:0]
	return err
}

func (w *writer) tell(part dump.Part) {
	if w.contents.Progress != nil {
		w.contents.Progress(Progress{Part: part, Done: len(w.summary.Sums), Parts: len(w.summary.Parts), Rows: w.summary.Rows})
	}
}

func (w *writer) encode(kind byte, value any) error {
	payload, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.record(kind, payload)
}

// record writes a kind, a length and that many bytes.
func (w *writer) record(kind byte, payload []byte) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	if len(payload) > maxRecord {
		return errors.New("a row is too large")
	}
	w.head[0] = kind
	n := binary.PutUvarint(w.head[1:], uint64(len(payload)))
	if _, err := w.out.Write(w.head[:1+n]); err != nil {
		return err
	}
	_, err := w.out.Write(payload)
	return err
}

// The kinds of cell. Text and bytes are preceded by their length.
const (
	cellNull = iota
	cellInteger
	cellText
	cellBytes
)

func appendRow(to []byte, row []any) ([]byte, error) {
	for _, cell := range row {
		switch v := cell.(type) {
		case nil:
			to = append(to, cellNull)
		case int64:
			to = binary.AppendVarint(append(to, cellInteger), v)
		case string:
			to = append(binary.AppendUvarint(append(to, cellText), uint64(len(v))), v...)
		case []byte:
			to = append(binary.AppendUvarint(append(to, cellBytes), uint64(len(v))), v...)
		default:
			return to, fmt.Errorf("a cell is a %T", cell)
		}
	}
	return to, nil
}
