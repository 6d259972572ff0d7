package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"sync"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"

	"edgesync/store/migration"
)

//go:embed migrations
var migrations embed.FS

// schema is what a kind of file should look like.
type schema struct {
	// dir is that of its migrations.
	dir string
	// image is the content of a file that has its tables and nothing in them. It is
	// made once: a platform has thousands of tenants.
	image func() ([]byte, error)
}

var (
	platformSchema = schemaFrom("migrations/platform")
	tenantSchema   = schemaFrom("migrations/tenant")
)

func schemaFrom(dir string) schema {
	s := schema{dir: dir}
	s.image = sync.OnceValues(s.makeImage)
	return s
}

func (s schema) makeImage() (image []byte, err error) {
	connector, err := driver.NewConnector(":memory:")
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	// Each connection has a memory of its own.
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	if err := s.migrate(ctx, db); err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	err = conn.Raw(func(driverConn any) (err error) {
		image, err = driverConn.(interface{ Serialize() ([]byte, error) }).Serialize()
		return err
	})
	return image, err
}

var migrating = migration.Dialect{
	Goose: goose.DialectSQLite3,
	Begun: `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'goose_db_version')`,
}

func (s schema) migrations() (migration.Set, error) {
	return migration.Of(migrating, migrations, s.dir)
}

// migrate brings a file up to date. It refuses one that a newer program wrote.
func (s schema) migrate(ctx context.Context, db *sql.DB) error {
	set, err := s.migrations()
	if err != nil {
		return err
	}
	current, err := version(ctx, db)
	if err != nil {
		return err
	}
	switch latest := set.Latest(); {
	case current == latest:
		return nil
	case current > latest:
		return fmt.Errorf("read schema: it has version %d and this program knows %d: run the newer program that wrote it", current, latest)
	}
	return set.UpTo(ctx, db, set.Latest())
}

// migrateTo makes a new file as it was in a version.
func (s schema) migrateTo(ctx context.Context, db *sql.DB, version int64) error {
	set, err := s.migrations()
	if err != nil {
		return err
	}
	return set.UpTo(ctx, db, version)
}

// Latest is the version that this program knows of the platform's schema, or of a
// tenant's.
func Latest(platform bool) (int64, error) {
	set, err := schemaOf(platform).migrations()
	if err != nil {
		return 0, err
	}
	return set.Latest(), nil
}

func schemaOf(platform bool) schema {
	if platform {
		return platformSchema
	}
	return tenantSchema
}

// version is the schema version of a file, 0 for a new one. It spares a file
// that is up to date goose's own bookkeeping each time it is opened.
func version(ctx context.Context, db *sql.DB) (int64, error) {
	var tables int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'goose_db_version'`).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	var v int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v)
	return v, err
}
