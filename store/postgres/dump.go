package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/core"
	"edgesync/store/dump"
	"edgesync/store/relational"
)

// scope is a tenant's schema, or with the zero id the platform's.
func (s *Store) scope(ctx context.Context, tenant uuid.UUID) (*schema, error) {
	if tenant == uuid.Nil {
		return s.platform, nil
	}
	return s.tenant(ctx, tenant)
}

// read runs fn on one snapshot of a schema, without a limit to its statements:
// it is for what reads everything.
func (s *Store) read(ctx context.Context, tenant uuid.UUID, fn func(*session) error) error {
	target, err := s.scope(ctx, tenant)
	if err != nil {
		return err
	}
	return s.view(ctx, target, func(w *session) error {
		if err := w.takeTime(ctx); err != nil {
			return err
		}
		return fn(w)
	})
}

// takeTime lifts the limits that keep a transaction short, and lets the planner
// read whole tables.
func (s *session) takeTime(ctx context.Context) error {
	_, err := s.tx.Exec(ctx, takeTime)
	return err
}

const takeTime = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL enable_hashjoin = on`

// column is a column of a table and its type.
type column struct{ name, kind string }

const truth = "boolean"

func columnNames(columns []column) []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	return names
}

// column types by table, in the order of their names; what a store keeps of
// itself is left out.
func (s *session) tables(ctx context.Context) (names []string, columns map[string][]column, err error) {
	columns = map[string][]column{}
	err = s.each(ctx, `
		SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
			AND c.relname NOT IN ('goose_db_version', 'committed')
		ORDER BY c.relname COLLATE "C", a.attname COLLATE "C"`, nil,
		func(row scanner) error {
			var table, name, typed string
			if err := row.Scan(&table, &name, &typed); err != nil {
				return err
			}
			if columns[table] == nil {
				names = append(names, table)
			}
			columns[table] = append(columns[table], column{name, typed})
			return nil
		})
	return names, columns, err
}

// Dump hands out every table of a tenant's schema, or with the zero id of the
// platform's, as of one moment. visit must read each table before it returns.
func (s *Store) Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error {
	return s.read(ctx, tenant, func(w *session) error { return w.dumpAll(ctx, visit) })
}

func (s *session) dumpAll(ctx context.Context, visit func(dump.Table) error) error {
	names, columns, err := s.tables(ctx)
	for _, table := range names {
		if err == nil {
			err = s.dump(ctx, table, columns[table], visit)
		}
	}
	return err
}

func (s *session) dump(ctx context.Context, table string, columns []column, visit func(dump.Table) error) error {
	if err := s.settle(); err != nil {
		return err
	}
	rows, err := s.tx.Query(ctx, `SELECT `+list(columns)+` FROM `+quote(table))
	if err != nil {
		return fmt.Errorf("read table %s: %w", table, err)
	}
	defer rows.Close()
	return visit(dump.Table{Name: table, Columns: columnNames(columns), Next: func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		row, err := rows.Values()
		for i := range row {
			if truth, ok := row[i].(bool); ok {
				row[i] = int64(0)
				if truth {
					row[i] = int64(1)
				}
			}
		}
		return row, err
	}})
}

func list(columns []column) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = quote(c.name)
	}
	return strings.Join(quoted, ", ")
}

// Load fills the empty tables of a schema with what dump hands out, all of it or
// nothing.
func (s *Store) Load(ctx context.Context, tenant uuid.UUID, from dump.Source) error {
	target, err := s.scope(ctx, tenant)
	if err != nil {
		return err
	}
	return s.update(ctx, target, func(w *session) error {
		if err := w.loadAll(ctx, from); err != nil {
			return err
		}
		w.Note(core.Signal{Topic: core.TopicTenant, Tenant: tenant})
		return nil
	})
}

func (s *session) loadAll(ctx context.Context, from dump.Source) error {
	if err := s.takeTime(ctx); err != nil {
		return err
	}
	names, columns, err := s.tables(ctx)
	if err != nil {
		return err
	}
	err = from(func(table dump.Table) error {
		if !slices.Contains(names, table.Name) || !slices.Equal(columnNames(columns[table.Name]), table.Columns) {
			return fmt.Errorf("load table %s: its columns are not the same in both stores", table.Name)
		}
		return s.load(ctx, table, columns[table.Name])
	})
	if err != nil {
		return err
	}
	return s.restartNumbers(ctx, names)
}

func (s *session) load(ctx context.Context, table dump.Table, columns []column) error {
	_, err := s.tx.CopyFrom(ctx, pgx.Identifier{table.Name}, table.Columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, err := table.Next()
		for i := range row {
			if n, ok := row[i].(int64); ok && columns[i].kind == truth {
				row[i] = n != 0
			}
		}
		return row, err
	}))
	if err != nil {
		return fmt.Errorf("load table %s: %w", table.Name, classify(err))
	}
	return nil
}

// restartNumbers has columns that number themselves go on after what was loaded.
func (s *session) restartNumbers(ctx context.Context, tables []string) error {
	for _, table := range tables {
		columns, err := relational.All(ctx, s, func(row scanner) (name string, err error) { return name, row.Scan(&name) }, `
			SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attidentity <> ''`, quote(table))
		if err != nil {
			return err
		}
		for _, name := range columns {
			_, err := s.exec(ctx, `SELECT setval(pg_get_serial_sequence(`+literal(quote(table))+`, `+literal(name)+`),
				greatest((SELECT max(`+quote(name)+`) FROM `+quote(table)+`), 1))`)
			if err != nil {
				return fmt.Errorf("number table %s: %w", table, err)
			}
		}
	}
	return nil
}

func literal(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }

// Version is the version of a tenant's schema, or with the zero id of the
// platform's.
func (s *Store) Version(ctx context.Context, tenant uuid.UUID) (int64, error) {
	target, err := s.scope(ctx, tenant)
	if err != nil {
		return 0, err
	}
	return s.version(ctx, target)
}

// Check looks for what should never be in a tenant's schema, or with the zero id
// in the platform's, and tells each with a number.
func (s *Store) Check(ctx context.Context, tenant uuid.UUID) (found []string, err error) {
	err = s.read(ctx, tenant, func(w *session) error {
		found = nil
		invalid, err := relational.All(ctx, w, func(row scanner) (name string, err error) { return name, row.Scan(&name) }, `
			SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid`)
		if err != nil {
			return err
		}
		for _, name := range invalid {
			found = append(found, "index "+name+" is not valid")
		}
		skipped, err := w.skipped(ctx, tenant == uuid.Nil)
		if err != nil {
			return err
		}
		if found = append(found, skipped...); tenant == uuid.Nil {
			return nil
		}
		for _, rule := range dump.Rules {
			var n int64
			if err := relational.One(ctx, w, rule.Count, nil, &n); err != nil {
				return fmt.Errorf("check for %s: %w", rule.Name, err)
			}
			if n > 0 {
				found = append(found, strconv.FormatInt(n, 10)+" "+rule.Name)
			}
		}
		sightings, err := relational.CheckSightings(ctx, w)
		if err != nil {
			return err
		}
		found = append(found, sightings...)
		return nil
	})
	return found, err
}

func (s *session) skipped(ctx context.Context, platform bool) ([]string, error) {
	known, err := migrationsOf(kindOf(platform))
	if err != nil {
		return nil, err
	}
	applied, err := relational.All(ctx, s, func(row scanner) (v int64, err error) { return v, row.Scan(&v) },
		`SELECT version_id FROM goose_db_version WHERE is_applied`)
	if err != nil {
		return nil, fmt.Errorf("read versions of schema: %w", err)
	}
	return dump.Skipped(known.Versions(), applied), nil
}

// Strays are the schemas of tenants that are none of the known ones.
func (s *Store) Strays(ctx context.Context, known []uuid.UUID) ([]string, error) {
	there, err := s.tenantsThere(ctx)
	if err != nil {
		return nil, fmt.Errorf("list schemas of tenants: %w", unavailable(err))
	}
	var strays []string
	for _, id := range there {
		if !slices.Contains(known, id) {
			strays = append(strays, "schema "+s.tenantSchema(id).name)
		}
	}
	return strays, nil
}

// tenantsThere are the tenants whose schemas are there.
func (s *Store) tenantsThere(ctx context.Context) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\_%' ORDER BY nspname`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	var found []uuid.UUID
	for _, name := range names {
		if id, err := uuid.Parse(strings.TrimPrefix(name, "tenant_")); err == nil {
			found = append(found, id)
		}
	}
	return found, err
}
