package core

import (
	"context"
	"time"

	"github.com/google/uuid"

	"edgesync/dire"
)

// IdentityTx is the part of a TenantTx about what becomes of assertions beside
// batches. A source is named as assertions name it (dire.Batch.Source).
type IdentityTx interface {
	// CountRun counts the assertions of a source that the run was the latest to
	// assert: its id and start are those of the run.
	CountRun(ctx context.Context, source string, run dire.Run) (int64, error)
	// CountLiving counts the living assertions of a source, and those of them
	// whose run started before a time.
	CountLiving(ctx context.Context, source string, before time.Time) (living, absent int64, err error)
	// Absent are the keys of the latter, in order.
	Absent(ctx context.Context, source string, before time.Time) ([]string, error)

	// Snapshots are the latest counted runs of a source, by their start, newest
	// first.
	Snapshots(ctx context.Context, source uuid.UUID, limit int) ([]Run, error)
	// DiscountRuns makes the runs of a source that started up to a time, that
	// time included, no longer counted.
	DiscountRuns(ctx context.Context, source uuid.UUID, upTo time.Time) error

	// Holds are ordered by source and kind; an empty source means all.
	Holds(ctx context.Context, source string) ([]Hold, error)
	// PutHold replaces the hold of the same source and kind.
	PutHold(ctx context.Context, hold Hold) error
	// DeleteHold returns no error where there is none.
	DeleteHold(ctx context.Context, source string, kind HoldKind) error

	// Pending are the deletions of a source that are held, in order of their keys.
	Pending(ctx context.Context, source string) ([]dire.Retraction, error)
	// PutPending replaces those of the same keys.
	PutPending(ctx context.Context, source string, retractions []dire.Retraction) error
	// DeletePending forgets all of a source.
	DeletePending(ctx context.Context, source string) error

	// Links are all of them, in order of A and B.
	Links(ctx context.Context) ([]dire.Link, error)
	// Decisions are those with one of the home ids among their subjects, the
	// latest up to limit, oldest first, without Subjects. Limit 0 means no limit.
	Decisions(ctx context.Context, homes []string, limit int) ([]dire.Decision, error)
	// Assertions calls yield for each assertion, in order of source and key, until
	// it returns an error. Their Identifiers are not filled in.
	Assertions(ctx context.Context, yield func(dire.Assertion) error) error
	// Duplicates are what several active devices of a partition share: hardware
	// ids that two living native assertions of one source hold, and host names.
	// They are ordered by kind, partition and value; limit 0 means no limit.
	Duplicates(ctx context.Context, limit int) ([]Duplicate, error)
}

// Hold is a set of retractions that wait for an operator.
type Hold struct {
	// Source is as assertions name it.
	Source string
	Kind   HoldKind
	// Run is the one that would retract.
	Run dire.Run
	// At is when it was held.
	At time.Time
	// Retractions is how many things the run would retract of how many living
	// ones.
	Retractions, Living int64
}

// HoldKind is what is held.
type HoldKind string

// The kinds of hold. A source has one of each at most.
const (
	// HoldSnapshot: a snapshot was without too many things.
	HoldSnapshot HoldKind = "snapshot"
	// HoldDeletions: a run said of too many things that they are gone.
	HoldDeletions HoldKind = "deletions"
)

// Duplicate is something several devices share that does not make them one.
type Duplicate struct {
	// Kind is "mac", "serial" or "hostname".
	Kind             string
	Partition, Value string
	// Devices are the first MaxDuplicates of their ids, in order, of Count.
	Devices []string
	Count   int64
}

// MaxDuplicates bounds Duplicate.Devices.
const MaxDuplicates = 20
