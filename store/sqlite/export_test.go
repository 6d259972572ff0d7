package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"

	"github.com/google/uuid"
)

// Observe has statement called with the text of each statement sent to a file,
// and with BEGIN and COMMIT.
func (o Options) Observe(statement func(query string)) Options {
	o.wrap = func(conn driver.Conn) driver.Conn { return observed{conn, statement} }
	return o
}

// observed is a connection that tells what it is asked.
type observed struct {
	driver.Conn
	statement func(query string)
}

func (c observed) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.statement("PREPARE " + query)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c observed) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.statement(query)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c observed) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.statement(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c observed) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.statement("BEGIN")
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return observedTx{tx, c.statement}, err
}

type observedTx struct {
	driver.Tx
	statement func(query string)
}

func (t observedTx) Commit() error {
	t.statement("COMMIT")
	return t.Tx.Commit()
}

// OpenTenants are the tenants whose files are open.
func (s *Store) OpenTenants() []uuid.UUID {
	s.tenants.mu.Lock()
	defer s.tenants.mu.Unlock()
	var ids []uuid.UUID
	for id := range s.tenants.entries {
		ids = append(ids, id)
	}
	return ids
}

// Pragma runs a pragma on the connection that writes a tenant's file.
func (s *Store) Pragma(ctx context.Context, tenant uuid.UUID, pragma string) error {
	release, db, err := s.tenants.acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	_, err = db.write.ExecContext(ctx, "PRAGMA "+pragma)
	return err
}

// Plan is how a statement would be carried out on a tenant's file, a line for each
// step.
func (s *Store) Plan(ctx context.Context, tenant uuid.UUID, statement string) (steps []string, err error) {
	release, db, err := s.tenants.acquire(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	rows, err := db.write.QueryContext(ctx, "EXPLAIN QUERY PLAN "+statement, make([]any, strings.Count(statement, "?"))...)
	return steps, eachRow(rows, err, func(row scanner) error {
		var id, parent, unused int
		var step string
		err := row.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	})
}

// Migrations are those of all kinds of files.
var Migrations = migrations
