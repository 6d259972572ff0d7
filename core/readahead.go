package core

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"edgesync/dire"
	"edgesync/proto/payload"
)

// The next chunk of a stream is read and made ready while the one before is stored,
// so that the client, this process and the database work at once. It is one chunk:
// what a stream holds in memory stays bounded, and so does how far its client is
// ahead of the store.

// arrival is a chunk of a stream that was read.
type arrival struct {
	chunk  payload.Chunk
	groups []*group
	// invalid is what is wrong with the chunk, err why there is none: io.EOF after
	// the last.
	invalid, err error
}

// arrivals reads the chunks of a stream until there is none, or ctx ends. All that
// it hands out is to be taken.
func (c *Core) arrivals(ctx context.Context, in *ingestion, next func(context.Context) (payload.Chunk, error)) <-chan arrival {
	arrivals := make(chan arrival)
	go func() {
		defer close(arrivals)
		scopes := map[uuid.UUID]dire.Batch{}
		for first := true; ; first = false {
			var a arrival
			err := guarded(func() error {
				if a.chunk, a.err = next(ctx); a.err != nil {
					return nil
				}
				if a.groups, a.invalid = in.groups(a.chunk); a.invalid == nil && !first {
					c.prepare(ctx, in, a, scopes)
				}
				return nil
			})
			if err != nil {
				a.err = err
			}
			arrivals <- a
			if a.err != nil || ctx.Err() != nil {
				return
			}
		}
	}()
	return arrivals
}

// prepare makes the groups of a chunk ready, as far as that can be done before their
// transaction. What cannot be is left to it, which also says why.
func (c *Core) prepare(ctx context.Context, in *ingestion, a arrival, scopes map[uuid.UUID]dire.Batch) {
	for _, g := range a.groups {
		batch := in.foreign(g)
		if g.source != uuid.Nil {
			known, ok := scopes[g.source]
			if !ok {
				err := in.scope.store.View(ctx, func(tx TenantTx) error {
					source, err := tx.Source(ctx, g.source)
					known = batchOf(source)
					return err
				})
				if err != nil {
					return
				}
				scopes[g.source] = known
			}
			batch = known
		}
		batch.Received, batch.Run = c.now(), in.runOf(g, a.chunk)
		if ready, err := c.makeReady(batch, g.updates); err == nil {
			g.ready = ready
		}
	}
}

// ready are the updates of a group as batches of one scope.
type ready struct {
	// batch is the scope. It has no updates.
	batch dire.Batch
	parts []part
}

// part are updates that one batch can hold.
type part struct {
	updates []payload.Update
	probe   dire.Probe
}

// makeReady makes batches of updates in a scope.
func (c *Core) makeReady(batch dire.Batch, updates []payload.Update) (ready, error) {
	made := ready{batch: batch}
	for updates := range slices.Chunk(updates, maxBatch) {
		batch.Updates = direUpdates(updates, batch.SourceType)
		probe, err := c.rules.ProbeFor(batch)
		if err != nil {
			return ready{}, fmt.Errorf("probe batch: %w", err)
		}
		made.parts = append(made.parts, part{updates, probe})
	}
	return made, nil
}

// isOf tells whether what is ready is of a scope, whenever it was received.
func (r *ready) isOf(batch dire.Batch) bool {
	b := &r.batch
	return len(r.parts) > 0 && b.Source == batch.Source && b.SourceType == batch.SourceType && b.Confidence == batch.Confidence &&
		b.Partition == batch.Partition && b.Run == batch.Run
}

// batchOf is the scope of updates of a source: its record's, whatever they say.
func batchOf(source Source) dire.Batch {
	return dire.Batch{
		Source: source.ID.String(), SourceType: source.Type,
		Confidence: source.Confidence, Partition: source.Partition,
	}
}

// foreign is the scope of updates that name no source.
func (in *ingestion) foreign(g *group) dire.Batch {
	confidence := 5
	if kind, ok := sourceTypes[g.sourceType]; ok {
		confidence = kind.confidence
	}
	return dire.Batch{
		Source: in.peer.Component + "/" + g.sourceType, SourceType: g.sourceType,
		Confidence: confidence, Partition: g.partition,
	}
}

// runOf is the run, and the chunk of it, that a group is of.
func (in *ingestion) runOf(g *group, chunk payload.Chunk) dire.Run {
	run := in.run(g).Run
	run.Chunk = chunk.Index + 1
	return run
}
