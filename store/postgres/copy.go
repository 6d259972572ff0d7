package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"edgesync/store/relational"
)

// A COPY is under way while the rows of the next are made ready: the server and
// this process then work at once. Everything else that uses the transaction
// waits for it first.

// copying is a COPY under way.
type copying struct {
	table string
	ended chan error
}

// Insert copies rows into a table. An error may be that of the copy before; the
// last one's is told by settle.
func (s *session) Insert(ctx context.Context, table string, rows *relational.Rows) error {
	if rows.Len() == 0 {
		return nil
	}
	data := encodeCopy(rows)
	if err := s.settle(); err != nil {
		return err
	}
	columns, quoted := make([]string, rows.Width()), make([]string, rows.Width())
	for i, c := range rows.Columns {
		columns[i], quoted[i] = c.Name(), quote(c.Name())
	}
	statement := `COPY ` + quote(table) + ` (` + strings.Join(quoted, ", ") + `) FROM STDIN (FORMAT binary)`
	under := &copying{table: table, ended: make(chan error, 1)}
	s.under = under
	conn := s.tx.Conn()
	go func() {
		tracer, _ := conn.Config().Tracer.(pgx.CopyFromTracer)
		if tracer != nil {
			ctx = tracer.TraceCopyFromStart(ctx, conn, pgx.TraceCopyFromStartData{TableName: pgx.Identifier{table}, ColumnNames: columns})
		}
		tag, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(data), statement)
		if tracer != nil {
			tracer.TraceCopyFromEnd(ctx, conn, pgx.TraceCopyFromEndData{CommandTag: tag, Err: err})
		}
		under.ended <- err
	}()
	return nil
}

// settle waits for the COPY under way and returns its error.
func (s *session) settle() error {
	if s.under == nil {
		return nil
	}
	err := <-s.under.ended
	table := s.under.table
	s.under = nil
	if err != nil {
		return fmt.Errorf("copy to %s: %w", table, classify(err))
	}
	return nil
}

// abandon waits for the COPY under way, whose transaction ends without it.
func (s *session) abandon() { _ = s.settle() }

// encodeCopy writes rows in PostgreSQL's binary COPY format: a header, for each
// row its number of cells and each cell with its length, and an end.
func encodeCopy(rows *relational.Rows) []byte {
	data := make([]byte, 0, 32+rows.Len()*(2+12*rows.Width())+content(rows))
	data = append(data, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for row := range rows.Len() {
		data = binary.BigEndian.AppendUint16(data, uint16(rows.Width()))
		for _, column := range rows.Columns {
			data = appendCell(data, column, row)
		}
	}
	return append(data, 0xff, 0xff)
}

// content is how many bytes are in the texts and blobs of rows.
func content(rows *relational.Rows) int {
	size := 0
	for _, column := range rows.Columns {
		switch c := column.(type) {
		case *relational.Texts:
			for _, cell := range c.Cells {
				size += len(cell)
			}
		case *relational.Blobs:
			for _, cell := range c.Cells {
				size += len(cell)
			}
		}
	}
	return size
}

func appendCell(data []byte, column relational.Column, row int) []byte {
	switch c := column.(type) {
	case *relational.Ints:
		if c.IsNull(row) {
			return append(data, 0xff, 0xff, 0xff, 0xff)
		}
		data = append(data, 0, 0, 0, 8)
		return binary.BigEndian.AppendUint64(data, uint64(c.Cells[row]))
	case *relational.Texts:
		data = binary.BigEndian.AppendUint32(data, uint32(len(c.Cells[row])))
		return append(data, c.Cells[row]...)
	case *relational.Blobs:
		data = binary.BigEndian.AppendUint32(data, uint32(len(c.Cells[row])))
		return append(data, c.Cells[row]...)
	case *relational.Truths:
		if c.Cells[row] {
			return append(data, 0, 0, 0, 1, 1)
		}
		return append(data, 0, 0, 0, 1, 0)
	}
	panic("a column of a kind that is none")
}
