package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite/vtab"
)

// A statement reads a whole batch of Go rows through the table-valued function
// batch(handle), whose columns are c0, c1, …: one statement carries any number
// of rows, without a round trip, a bound parameter or a JSON parse for each.

// batchColumns is the width of the widest batch, and of the widest table.
const batchColumns = 32

// batches holds the rows that statements under way read, by handle.
var batches struct {
	rows sync.Map // int64 → cells
	last atomic.Int64
}

// cells are the rows of a batch: nil, int64, string, bool or []byte.
type cells interface {
	Len() int
	Width() int
	Cell(row, column int) any
}

// kept are rows that were read one by one.
type kept [][]driver.Value

func (k kept) Len() int                 { return len(k) }
func (k kept) Width() int               { return len(k[0]) }
func (k kept) Cell(row, column int) any { return k[row][column] }

// withBatch makes rows readable as batch(handle) while fn runs.
func withBatch(rows cells, fn func(handle int64) error) error {
	handle := batches.last.Add(1)
	batches.rows.Store(handle, rows)
	defer batches.rows.Delete(handle)
	return fn(handle)
}

func init() {
	// The error is about a name registered twice; the name is this package's own.
	if err := vtab.RegisterModule(nil, "edgesync_batch", batchModule{}); err != nil {
		panic(err)
	}
}

// batchConnector gives every connection its batch table.
type batchConnector struct {
	driver.Connector
	readOnly bool
	wrap     func(driver.Conn) driver.Conn
}

// Connect opens a connection that has the batch table and, for a reader, that
// refuses to write.
func (c batchConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	setup := []string{`CREATE VIRTUAL TABLE temp.batch USING edgesync_batch`}
	if c.readOnly {
		setup = append(setup, `PRAGMA query_only(1)`)
	}
	for _, statement := range setup {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("prepare connection: %w", err)
		}
	}
	if !c.readOnly {
		conn = newPreparing(conn)
	}
	if c.wrap != nil {
		conn = c.wrap(conn)
	}
	return conn, nil
}

// batchModule declares the table: a hidden handle, then the cells.
type batchModule struct{}

func (batchModule) Create(ctx vtab.Context, _ []string) (vtab.Table, error) {
	var columns strings.Builder
	for i := range batchColumns {
		fmt.Fprintf(&columns, ", c%d", i)
	}
	return batchTable{}, ctx.Declare("CREATE TABLE batch(handle HIDDEN" + columns.String() + ")")
}

func (m batchModule) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	return m.Create(ctx, args)
}

type batchTable struct{}

// BestIndex takes the handle and nothing else: a batch is read from its start
// to its end, and is what drives a join.
func (batchTable) BestIndex(info *vtab.IndexInfo) error {
	for i := range info.Constraints {
		c := &info.Constraints[i]
		if c.Column == 0 && c.Op == vtab.OpEQ && c.Usable {
			c.ArgIndex, c.Omit = 0, true
		}
	}
	info.EstimatedCost, info.EstimatedRows = 5000, 5000
	return nil
}

func (batchTable) Open() (vtab.Cursor, error) { return &batchCursor{}, nil }
func (batchTable) Disconnect() error          { return nil }
func (batchTable) Destroy() error             { return nil }

type batchCursor struct {
	rows cells
	len  int
	at   int
}

func (c *batchCursor) Filter(_ int, _ string, args []vtab.Value) error {
	if len(args) != 1 {
		return fmt.Errorf("read batch: no handle given")
	}
	handle, _ := args[0].(int64)
	rows, ok := batches.rows.Load(handle)
	if !ok {
		return fmt.Errorf("read batch: no batch has handle %v", args[0])
	}
	c.rows, c.at = rows.(cells), 0
	c.len = c.rows.Len()
	return nil
}

func (c *batchCursor) Next() error           { c.at++; return nil }
func (c *batchCursor) Eof() bool             { return c.at >= c.len }
func (c *batchCursor) Rowid() (int64, error) { return int64(c.at), nil }
func (c *batchCursor) Close() error          { return nil }

func (c *batchCursor) Column(column int) (vtab.Value, error) {
	if column == 0 || column > c.rows.Width() {
		return nil, nil
	}
	cell := c.rows.Cell(c.at, column-1)
	if truth, ok := cell.(bool); ok {
		return flag(truth), nil
	}
	return cell, nil
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}
