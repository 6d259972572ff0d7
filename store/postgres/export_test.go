package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Observe has sent called with the text of each statement, and with COPY and the
// table for each copy.
func (o Options) Observe(sent func(statement string)) Options {
	o.tracer = tracer(sent)
	return o
}

type tracer func(string)

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t(data.SQL)
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t tracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	t("COPY " + data.TableName.Sanitize())
	return ctx
}

func (tracer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

// SchemaOf is the schema of a tenant and the role that owns it.
func (s *Store) SchemaOf(id uuid.UUID) (name, role string) {
	target := s.tenantSchema(id)
	return target.name, target.role
}

// AsTenant runs fn in a transaction of a tenant's.
func (s *Store) AsTenant(ctx context.Context, id uuid.UUID, fn func(pgx.Tx) error) error {
	target, err := s.tenant(ctx, id)
	if err != nil {
		return err
	}
	return s.update(ctx, target, func(w *session) error { return fn(w.tx) })
}

// AsPlatform runs fn in a transaction of the platform's.
func (s *Store) AsPlatform(ctx context.Context, fn func(pgx.Tx) error) error {
	return s.update(ctx, s.platform, func(w *session) error { return fn(w.tx) })
}

// Migrations are those of all kinds of schemas.
var Migrations = migrations
