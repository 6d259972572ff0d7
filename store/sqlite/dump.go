package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"edgesync/store/dump"
	"edgesync/store/relational"
)

// Dump hands out every table of a tenant's file, or with the zero id of
// platform.db, as of one moment. Indexes are none, those of a search neither:
// each store makes its own. visit must read each table before it returns.
func (s *Store) Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error {
	return s.read(ctx, tenant, func(tx session) error { return tx.dumpAll(ctx, visit) })
}

func (s session) tables(ctx context.Context) ([]string, error) {
	return relational.All(ctx, s, scanText, `
		SELECT name FROM pragma_table_list
		WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'goose_db_version'
		ORDER BY name`)
}

func (s session) dumpAll(ctx context.Context, visit func(dump.Table) error) error {
	tables, err := s.tables(ctx)
	for _, table := range tables {
		if err == nil {
			err = s.dump(ctx, table, visit)
		}
	}
	return err
}

// read runs fn on one snapshot of a tenant's file, or of platform.db.
func (s *Store) read(ctx context.Context, tenant uuid.UUID, fn func(session) error) error {
	if tenant == uuid.Nil {
		return s.platform.view(ctx, fn)
	}
	return tenantStore{pool: s.tenants, id: tenant}.with(ctx, func(db *database) error { return db.view(ctx, fn) })
}

func scanText(row scanner) (text string, err error) { return text, row.Scan(&text) }

func (s session) dump(ctx context.Context, table string, visit func(dump.Table) error) error {
	columns, err := relational.All(ctx, s, scanText, `SELECT name FROM pragma_table_info(?) ORDER BY name`, table)
	if err != nil {
		return fmt.Errorf("read columns of %s: %w", table, err)
	}
	rows, err := s.tx.QueryContext(ctx, `SELECT "`+strings.Join(columns, `", "`)+`" FROM "`+table+`"`)
	if err != nil {
		return fmt.Errorf("read table %s: %w", table, err)
	}
	defer rows.Close()
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	never, err := relational.All(ctx, s, scanText, `SELECT name FROM pragma_table_info(?) WHERE "notnull"`, table)
	if err != nil {
		return fmt.Errorf("read columns of %s: %w", table, err)
	}
	err = visit(dump.Table{Name: table, Columns: columns, Next: func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, cell := range row {
			// The driver hands an empty blob out as it does NULL.
			if blob, ok := cell.([]byte); (cell == nil || ok && blob == nil) && slices.Contains(never, columns[i]) {
				row[i] = []byte{}
			}
		}
		return row, nil
	}})
	return errors.Join(err, rows.Err())
}

// Version is the version of a tenant's schema, or with the zero id of the
// platform's.
func (s *Store) Version(ctx context.Context, tenant uuid.UUID) (v int64, err error) {
	err = s.read(ctx, tenant, func(tx session) error {
		return relational.One(ctx, tx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`, nil, &v)
	})
	return v, err
}

// Check looks for what should never be in a tenant's file, or with the zero id
// in platform.db, and tells each with a number.
func (s *Store) Check(ctx context.Context, tenant uuid.UUID) (found []string, err error) {
	err = s.read(ctx, tenant, func(tx session) error {
		found = nil
		damage, err := relational.All(ctx, tx, scanText, `PRAGMA integrity_check(10)`)
		if err != nil {
			return err
		}
		for _, line := range damage {
			if line != "ok" {
				found = append(found, line)
			}
		}
		skipped, err := tx.skipped(ctx, tenant == uuid.Nil)
		if err != nil {
			return err
		}
		if found = append(found, skipped...); tenant == uuid.Nil {
			return nil
		}
		for _, rule := range dump.Rules {
			var n int64
			if err := relational.One(ctx, tx, rule.Count, nil, &n); err != nil {
				return fmt.Errorf("check for %s: %w", rule.Name, err)
			}
			if n > 0 {
				found = append(found, fmt.Sprintf("%d %s", n, rule.Name))
			}
		}
		sightings, err := relational.CheckSightings(ctx, tx)
		if err != nil {
			return err
		}
		found = append(found, sightings...)
		return nil
	})
	return found, err
}

func (s session) skipped(ctx context.Context, platform bool) ([]string, error) {
	known, err := schemaOf(platform).migrations()
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

// Strays are the files of tenants that are none of the known ones.
func (s *Store) Strays(_ context.Context, known []uuid.UUID) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "tenants"))
	if err != nil {
		return nil, fmt.Errorf("list files of tenants: %w", err)
	}
	var strays []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".db")
		if !ok {
			continue
		}
		if id, err := uuid.Parse(name); err != nil || !slices.Contains(known, id) {
			strays = append(strays, "file "+filepath.Join("tenants", entry.Name()))
		}
	}
	return strays, nil
}
