package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A COPY is under way while the rows of the next are made ready: the server and
// this process then work at once. Everything else that uses the transaction
// waits for it first.

// copying is a COPY under way.
type copying struct {
	table string
	ended chan error
}

// copy adds rows to a table, all of them new. An error may be that of the copy
// before; the last one's is told by settle.
func (s *session) copy(ctx context.Context, table string, columns []string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	data, err := encodeCopy(rows)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", table, err)
	}
	if err := s.settle(); err != nil {
		return err
	}
	quoted := make([]string, len(columns))
	for i, name := range columns {
		quoted[i] = quote(name)
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
func encodeCopy(rows [][]any) ([]byte, error) {
	size := 0
	for _, cell := range rows[0] {
		size += 12
		switch v := cell.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
	}
	data := make([]byte, 0, (size+size/4)*len(rows)+64)
	data = append(data, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for _, row := range rows {
		data = binary.BigEndian.AppendUint16(data, uint16(len(row)))
		for _, cell := range row {
			switch v := cell.(type) {
			case nil:
				data = append(data, 0xff, 0xff, 0xff, 0xff)
			case int64:
				data = append(data, 0, 0, 0, 8)
				data = binary.BigEndian.AppendUint64(data, uint64(v))
			case string:
				data = binary.BigEndian.AppendUint32(data, uint32(len(v)))
				data = append(data, v...)
			case []byte:
				data = binary.BigEndian.AppendUint32(data, uint32(len(v)))
				data = append(data, v...)
			case bool:
				data = append(data, 0, 0, 0, 1, 0)
				if v {
					data[len(data)-1] = 1
				}
			default:
				return nil, fmt.Errorf("a cell is a %T", cell)
			}
		}
	}
	return append(data, 0xff, 0xff), nil
}
