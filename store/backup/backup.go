// Package backup writes everything a platform is made of into one stream and
// reads it back: the rows of its store, the keyset that opens what is sealed in
// them, and the files of its own sync service. It knows no kind of store: what is
// written comes from a Snapshot, what is read goes wherever its reader takes it.
//
// The stream is an age file (age-encryption.org/v1) around zstd around records.
// age's chunks are authenticated and its end is marked, so that one that was
// changed, cut or put together of others is not read to its end; beside that each
// part of the store carries the sums of its tables.
package backup

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"edgesync/store/dump"
)

// Format is the version of the stream that is written, and the latest that is
// read.
const Format = 1

// Header says what a backup is of.
type Header struct {
	Format int `json:"format"`
	// Program is the version of what wrote it.
	Program string `json:"program"`
	// TakenAt is the moment whose state it holds, or one shortly before.
	TakenAt  time.Time     `json:"taken_at"`
	Platform dump.Platform `json:"platform"`
	// Store is the kind of store it was taken of.
	Store string `json:"store"`
	// Parts are in the order of the stream; the platform's is last.
	Parts []dump.Part `json:"parts"`
}

// File is a file beside the store. Its name is relative, with slashes.
type File struct {
	Name    string
	Content []byte
}

// Snapshot is what is written: every part of a store as of one moment.
type Snapshot interface {
	Platform() dump.Platform
	// Parts are the platform's part and then the tenants'.
	Parts() []dump.Part
	// Dump hands out every table of a part. visit must read each before it returns.
	Dump(ctx context.Context, tenant uuid.UUID, visit func(dump.Table) error) error
	Close() error
}

// Progress is how far a backup has been written or read.
type Progress struct {
	Part dump.Part
	// Done parts of Parts are through; Rows counts over all.
	Done, Parts int
	Rows        int64
}

// Summary is what a backup holds.
type Summary struct {
	Header
	// Sums are those of each part's tables together, in the order of Parts.
	Sums []dump.Sum
	Rows int64
}

// Hash is over the sums of all parts.
func (s Summary) Hash() string {
	var total dump.Sum
	for _, sum := range s.Sums {
		total.Merge(sum)
	}
	return total.Hash()
}

var (
	// ErrWrongKey says that a backup does not open with what was given.
	ErrWrongKey = errors.New("it does not open with this passphrase or identity")
	// ErrDamaged says that a backup is not whole, or is none.
	ErrDamaged = errors.New("the backup is damaged")
)

// The kinds of record, in the order in which they come: one header, one keyset,
// the files, then for each part its beginning, its tables with their rows, and
// its sums; last the end.
const (
	recordHeader = 'h'
	recordKeyset = 'k'
	recordFile   = 'f'
	recordPart   = 'p'
	recordTable  = 't'
	recordRows   = 'r'
	recordSums   = 's'
	recordEnd    = 'e'
)

const (
	magic = "edgesync backup\n"
	// rowsTarget is the size at which a record of rows is closed; maxRecord is the
	// largest that is read.
	rowsTarget = 256 << 10
	maxRecord  = 64 << 20
	// maxParts, maxFiles and maxColumns are far beyond any platform's.
	maxParts   = 1_000_000
	maxFiles   = 1_000
	maxColumns = 1_000
)

// tableRecord begins a table.
type tableRecord struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// fileRecord is followed by its content in the same record.
type fileRecord struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// sumRecord is the sum of a table.
type sumRecord struct {
	Rows int64  `json:"rows"`
	Hash string `json:"hash"`
}

// endRecord counts what came before it.
type endRecord struct {
	Parts int   `json:"parts"`
	Rows  int64 `json:"rows"`
}
