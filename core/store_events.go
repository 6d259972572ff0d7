package core

import (
	"context"
	"time"
)

// NumberedEvent is an event with its place among its tenant's.
type NumberedEvent struct {
	// Sequence rises in the order in which events are committed: what is committed
	// later than an event that can be read has a higher one.
	Sequence int64
	Event
}

// EventTx is the part of a TenantTx about all the events there are.
type EventTx interface {
	// EventsAfter are the first of those with a higher sequence number, in order.
	EventsAfter(ctx context.Context, sequence int64, limit int) ([]NumberedEvent, error)
	// PruneEvents deletes up to limit of the events before a time, the oldest
	// first, and says how many. The latest of all stays, so that no sequence number
	// is ever given out twice.
	PruneEvents(ctx context.Context, before time.Time, limit int) (int, error)
}
