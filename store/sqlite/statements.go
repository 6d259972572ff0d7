package sqlite

import (
	"container/list"
	"context"
	"database/sql/driver"
)

// mostStatements bounds how many statements a connection keeps prepared. A batch
// takes some twenty, of which the longest costs more to prepare than to carry
// out for a few rows.
const mostStatements = 48

// preparing is a connection that prepares what it is asked once. Like any, it is
// used by one goroutine at a time.
type preparing struct {
	driver.Conn
	// idle holds the statements nobody reads from, the most recent in front.
	idle  *list.List
	known map[string]*list.Element
}

type prepared struct {
	query     string
	statement driver.Stmt
}

func newPreparing(conn driver.Conn) *preparing {
	return &preparing{Conn: conn, idle: list.New(), known: map[string]*list.Element{}}
}

// take hands a statement out. One that is being read from is prepared again.
func (c *preparing) take(ctx context.Context, query string) (prepared, error) {
	if element, ok := c.known[query]; ok {
		delete(c.known, query)
		return c.idle.Remove(element).(prepared), nil
	}
	statement, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return prepared{query, statement}, err
}

// keep takes a statement back.
func (c *preparing) keep(p prepared) error {
	if _, ok := c.known[p.query]; ok {
		return p.statement.Close()
	}
	c.known[p.query] = c.idle.PushFront(p)
	if c.idle.Len() <= mostStatements {
		return nil
	}
	oldest := c.idle.Remove(c.idle.Back()).(prepared)
	delete(c.known, oldest.query)
	return oldest.statement.Close()
}

func (c *preparing) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	p, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := p.statement.(driver.StmtExecContext).ExecContext(ctx, args)
	if kept := c.keep(p); err == nil {
		err = kept
	}
	return result, err
}

func (c *preparing) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	p, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := p.statement.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		// What is wrong may be in the statement.
		_ = p.statement.Close()
		return nil, err
	}
	return &reading{Rows: rows, done: func() error { return c.keep(p) }}, nil
}

func (c *preparing) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *preparing) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c *preparing) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c *preparing) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

func (c *preparing) Close() error {
	for element := c.idle.Front(); element != nil; element = element.Next() {
		// A connection that is closed has no use for the error.
		_ = element.Value.(prepared).statement.Close()
	}
	return c.Conn.Close()
}

// reading are rows whose statement is kept once they are closed.
type reading struct {
	driver.Rows
	done func() error
}

func (r *reading) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		if kept := r.done(); err == nil {
			err = kept
		}
		r.done = nil
	}
	return err
}
