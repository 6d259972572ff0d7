package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"edgesync/store/dump"
)

// Reader reads a backup, once from its beginning to its end. What it hands out is
// not to be relied on before End said that all of it was there.
type Reader struct {
	Header Header
	Keyset []byte
	Files  []File
	// Progress, if set, is told of each part and of rows on the way.
	Progress func(Progress)

	ctx      context.Context
	unpacked *zstd.Decoder
	in       *bufio.Reader
	// fault is why the stream could not be read on, which who loads it may tell in
	// words of its own.
	fault error
	// ahead is a record that was read and not used yet.
	ahead   *record
	payload []byte
	summary Summary
	err     error
}

type record struct {
	kind    byte
	payload []byte
}

// Open reads what a backup begins with. Close must be called.
func Open(ctx context.Context, from io.Reader, key Key) (*Reader, error) {
	r := &Reader{ctx: ctx}
	if err := r.open(from, key); err != nil {
		r.Close()
		return nil, fmt.Errorf("read backup: %w", err)
	}
	return r, nil
}

func (r *Reader) open(from io.Reader, key Key) error {
	plain, err := key.decrypt(from)
	if err != nil {
		return err
	}
	r.unpacked, err = zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return err
	}
	r.in = bufio.NewReaderSize(r.unpacked, 64<<10)
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, begin); err != nil {
		return damaged(err)
	}
	if string(begin) != magic {
		return fmt.Errorf("%w: it is no backup of a platform", ErrDamaged)
	}
	if err := r.decode(recordHeader, &r.Header); err != nil {
		return err
	}
	if err := r.checkHeader(); err != nil {
		return err
	}
	r.summary.Header = r.Header
	keyset, err := r.next(recordKeyset)
	if err != nil {
		return err
	}
	r.Keyset = bytes.Clone(keyset)
	return r.readFiles()
}

func (r *Reader) checkHeader() error {
	h := r.Header
	switch {
	case h.Format > Format:
		return fmt.Errorf("it has format %d and this program knows %d: run the newer program that wrote it (%s)", h.Format, Format, h.Program)
	case h.Format < 1, len(h.Parts) == 0, len(h.Parts) > maxParts:
		return fmt.Errorf("%w: its header makes no sense", ErrDamaged)
	}
	seen := map[uuid.UUID]bool{}
	for i, part := range h.Parts {
		if last := i == len(h.Parts)-1; seen[part.Tenant] || last != (part.Tenant == uuid.Nil) || part.Version < 1 {
			return fmt.Errorf("%w: its parts make no sense", ErrDamaged)
		}
		seen[part.Tenant] = true
	}
	return nil
}

func (r *Reader) readFiles() error {
	for range maxFiles {
		found, err := r.peek()
		if err != nil || found.kind != recordFile {
			return err
		}
		payload, err := r.next(recordFile)
		if err != nil {
			return err
		}
		head, content, ok := bytes.Cut(payload, []byte("\n"))
		var file fileRecord
		if err := json.Unmarshal(head, &file); err != nil || !ok || file.Size != len(content) {
			return fmt.Errorf("%w: a file in it makes no sense", ErrDamaged)
		}
		r.Files = append(r.Files, File{file.Name, bytes.Clone(content)})
	}
	return fmt.Errorf("%w: it holds too many files", ErrDamaged)
}

// Part reads the next part: load is given its tables, and returns the sums of
// what it made of them, which must be those of what was written. io.EOF comes
// after the last.
func (r *Reader) Part(load func(dump.Part, dump.Source) (dump.Sums, error)) error {
	if r.err != nil {
		return r.err
	}
	done := len(r.summary.Sums)
	if done == len(r.Header.Parts) {
		return io.EOF
	}
	part := r.Header.Parts[done]
	// What fails once cannot be gone on with.
	if r.err = r.readPart(part, load); r.err != nil {
		r.err = fmt.Errorf("read backup: %s: %w", part.Name(), r.err)
	}
	return r.err
}

func (r *Reader) readPart(part dump.Part, load func(dump.Part, dump.Source) (dump.Sums, error)) error {
	var begun dump.Part
	if err := r.decode(recordPart, &begun); err != nil {
		return err
	}
	if begun != part {
		return fmt.Errorf("%w: another part begins there", ErrDamaged)
	}
	r.tell(part)
	// What was sent may only be known once it was read: sums of the rows that
	// came, then those that were written.
	came, read := dump.Sums{}, false
	arrived, err := load(part, func(visit func(dump.Table) error) error {
		read = true
		return r.tables(part, came, visit)
	})
	if r.fault != nil {
		return r.fault
	}
	if err != nil {
		return err
	}
	if !read {
		return errors.New("it was not read")
	}
	var told map[string]sumRecord
	if err := r.decode(recordSums, &told); err != nil {
		return err
	}
	sent := dump.Sums{}
	for name, sum := range told {
		if sent[name], err = dump.ParseSum(sum.Rows, sum.Hash); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if err := sent.Compare(came); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := sent.Compare(arrived); err != nil {
		return err
	}
	r.summary.Sums = append(r.summary.Sums, sent.Total())
	return nil
}

// tables hands each table of a part to visit.
func (r *Reader) tables(part dump.Part, sums dump.Sums, visit func(dump.Table) error) error {
	for {
		found, err := r.peek()
		if err != nil || found.kind != recordTable {
			return err
		}
		var begun tableRecord
		if err := r.decode(recordTable, &begun); err != nil {
			return err
		}
		if _, twice := sums[begun.Name]; twice || len(begun.Columns) == 0 || len(begun.Columns) > maxColumns {
			return fmt.Errorf("%w: table %q makes no sense", ErrDamaged, begun.Name)
		}
		rows := &rows{reader: r, part: part, cells: make([]any, len(begun.Columns))}
		var sum dump.Sum
		if err := visit(sum.Over(dump.Table{Name: begun.Name, Columns: slices.Clone(begun.Columns), Next: rows.next})); err != nil {
			return err
		}
		if !rows.ended {
			return fmt.Errorf("table %s was not read to its end", begun.Name)
		}
		sums[begun.Name] = sum
	}
}

// rows are those of one table.
type rows struct {
	reader *Reader
	part   dump.Part
	left   []byte
	cells  []any
	ended  bool
}

func (rs *rows) next() (row []any, err error) {
	row, err = rs.cut()
	if err != nil {
		rs.reader.fault = err
	}
	return row, err
}

func (rs *rows) cut() ([]any, error) {
	r := rs.reader
	if len(rs.left) == 0 {
		found, err := r.peek()
		if err != nil {
			return nil, err
		}
		if rs.ended = found.kind != recordRows; rs.ended {
			return nil, nil
		}
		if rs.left, err = r.next(recordRows); err != nil {
			return nil, err
		}
		if len(rs.left) == 0 {
			return nil, fmt.Errorf("%w: a group of rows is empty", ErrDamaged)
		}
	}
	for i := range rs.cells {
		var ok bool
		if rs.cells[i], rs.left, ok = cutCell(rs.left); !ok {
			return nil, fmt.Errorf("%w: a row makes no sense", ErrDamaged)
		}
	}
	if r.summary.Rows++; r.summary.Rows%progressRows == 0 {
		r.tell(rs.part)
	}
	return rs.cells, nil
}

// cutCell reads one cell. Bytes are those of the record, good until the next.
func cutCell(from []byte) (cell any, rest []byte, ok bool) {
	if len(from) == 0 {
		return nil, nil, false
	}
	kind, from := from[0], from[1:]
	switch kind {
	case cellNull:
		return nil, from, true
	case cellInteger:
		v, n := binary.Varint(from)
		if n <= 0 {
			return nil, nil, false
		}
		return v, from[n:], true
	case cellText, cellBytes:
		size, n := binary.Uvarint(from)
		if n <= 0 || size > uint64(len(from)-n) {
			return nil, nil, false
		}
		content, rest := from[n:n+int(size)], from[n+int(size):]
		if kind == cellText {
			return string(content), rest, true
		}
		return content, rest, true
	}
	return nil, nil, false
}

// End says whether the backup was read to its end and is whole.
func (r *Reader) End() (Summary, error) {
	if r.err != nil {
		return Summary{}, r.err
	}
	var end endRecord
	if err := r.decode(recordEnd, &end); err != nil {
		return Summary{}, fmt.Errorf("read backup: %w", err)
	}
	if end.Parts != len(r.summary.Sums) || end.Parts != len(r.Header.Parts) || end.Rows != r.summary.Rows {
		return Summary{}, fmt.Errorf("read backup: %w: it counts otherwise", ErrDamaged)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return Summary{}, fmt.Errorf("read backup: %w", damaged(err))
	}
	return r.summary, nil
}

// Close lets the stream go.
func (r *Reader) Close() {
	if r.unpacked != nil {
		r.unpacked.Close()
	}
}

func (r *Reader) tell(part dump.Part) {
	if r.Progress != nil {
		r.Progress(Progress{Part: part, Done: len(r.summary.Sums), Parts: len(r.Header.Parts), Rows: r.summary.Rows})
	}
}

func (r *Reader) decode(kind byte, into any) error {
	payload, err := r.next(kind)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return fmt.Errorf("%w: a record in it makes no sense", ErrDamaged)
	}
	return nil
}

// next takes the next record, which is to be of a kind. It is good until the
// next is read.
func (r *Reader) next(kind byte) ([]byte, error) {
	found, err := r.peek()
	if err != nil {
		return nil, err
	}
	if found.kind != kind {
		return nil, fmt.Errorf("%w: a record is out of place", ErrDamaged)
	}
	r.ahead = nil
	return found.payload, nil
}

func (r *Reader) peek() (*record, error) {
	if r.ahead != nil {
		return r.ahead, nil
	}
	if err := r.ctx.Err(); err != nil {
		return nil, context.Cause(r.ctx)
	}
	kind, err := r.in.ReadByte()
	if err != nil {
		return nil, damaged(err)
	}
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, damaged(err)
	}
	if size > maxRecord {
		return nil, fmt.Errorf("%w: a record is too large", ErrDamaged)
	}
	// A length may lie: what there is decides how much memory is taken.
	if r.payload, err = readInto(r.payload[:0], r.in, int(size)); err != nil {
		return nil, damaged(err)
	}
	r.ahead = &record{kind, r.payload}
	return r.ahead, nil
}

func readInto(into []byte, from io.Reader, size int) ([]byte, error) {
	for len(into) < size {
		step := min(size-len(into), max(rowsTarget, len(into)))
		into = slices.Grow(into, step)
		n, err := io.ReadFull(from, into[len(into):len(into)+step])
		into = into[:len(into)+n]
		if err != nil {
			return into, err
		}
	}
	return into, nil
}

// damaged is why a stream cannot be read on.
func damaged(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case err == nil:
		return fmt.Errorf("%w: it goes on after its end", ErrDamaged)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it breaks off", ErrDamaged)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, short(err))
}
