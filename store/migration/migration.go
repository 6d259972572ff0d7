// Package migration brings the schemas of stores up to date: by numbered files,
// which goose carries out and keeps the books of.
package migration

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// Dialect is what the migrations of a kind of store are written for.
type Dialect struct {
	// Goose is goose's name for it.
	Goose goose.Dialect
	// Begun is a query that tells whether a schema has goose's books, one row of
	// one truth.
	Begun string
}

// Set are the migrations of a kind of schema.
type Set struct {
	dialect  Dialect
	files    fs.FS
	versions []int64
	// names are those of the files, a version each.
	names []string
}

// Of are the migrations in a folder: each file's name begins with the version
// that it makes, in as many digits as the others'.
func Of(dialect Dialect, files fs.FS, dir string) (Set, error) {
	files, err := fs.Sub(files, dir)
	if err != nil {
		return Set{}, err
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return Set{}, err
	}
	s := Set{dialect: dialect, files: files}
	for _, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return Set{}, fmt.Errorf("read number of migration %s: %w", entry.Name(), err)
		}
		s.versions, s.names = append(s.versions, version), append(s.names, entry.Name())
	}
	return s, nil
}

// Versions are those there are, in order.
func (s Set) Versions() []int64 { return s.versions }

// Latest is the version that the last one makes.
func (s Set) Latest() int64 { return s.versions[len(s.versions)-1] }

// UpTo brings the schema that a database's connections work in to a version. One
// beyond the latest is the latest: another kind of store may have had a step of
// its own. What is new gets all of it in one transaction; what has a version
// already, each migration in its own, so that the next call goes on where a crash
// ended this one.
func (s Set) UpTo(ctx context.Context, db *sql.DB, version int64) error {
	version = min(version, s.Latest())
	if made, err := s.make(ctx, db, version); err != nil || made {
		return err
	}
	provider, err := goose.NewProvider(s.dialect.Goose, db, s.files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

// make carries out all migrations up to a version unless the schema has goose's
// books, and tells whether it did. Its transaction keeps others from doing the
// same, or its caller does. What goose reads of a file are comments to a database.
func (s Set) make(ctx context.Context, db *sql.DB, version int64) (made bool, err error) {
	books, err := database.NewStore(s.dialect.Goose, goose.DefaultTablename)
	if err != nil {
		return false, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	// After a commit this does nothing; before it, what failed is what counts.
	defer func() { _ = tx.Rollback() }()
	var begun bool
	if err := tx.QueryRowContext(ctx, s.dialect.Begun).Scan(&begun); err != nil || begun {
		return false, err
	}
	err = books.CreateVersionTable(ctx, tx)
	if err == nil {
		err = books.Insert(ctx, tx, database.InsertRequest{Version: 0})
	}
	for i, name := range s.names {
		if err != nil || s.versions[i] > version {
			break
		}
		err = s.carryOut(ctx, tx, name)
		if err == nil {
			err = books.Insert(ctx, tx, database.InsertRequest{Version: s.versions[i]})
		}
	}
	if err == nil {
		err = tx.Commit()
	}
	return err == nil, err
}

func (s Set) carryOut(ctx context.Context, tx *sql.Tx, name string) error {
	text, err := fs.ReadFile(s.files, name)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(text)); err != nil {
		return fmt.Errorf("migration %s: %w", name, err)
	}
	return nil
}
