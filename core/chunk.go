package core

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/dire"
	"edgesync/proto/payload"
)

// group are the updates of a chunk that one batch can hold.
type group struct {
	// source is the integration source they name, or zero.
	source uuid.UUID
	// sourceType and partition are the payload's; a source's record overrides them.
	sourceType, partition string
	updates               []payload.Update
	// ready is what was made of them ahead of their transaction, if anything was.
	ready ready
}

// groups sorts the updates of a chunk by what their identity is scoped by.
func (in *ingestion) groups(chunk payload.Chunk) ([]*group, error) {
	type scopeKey struct {
		source                uuid.UUID
		sourceType, partition string
	}
	var groups []*group
	byKey := map[scopeKey]*group{}
	for i, update := range chunk.Updates {
		key := scopeKey{source: in.source}
		if named := update.Metadata[payload.MetaIntegrationSourceID]; named != "" {
			id, err := uuid.Parse(named)
			switch {
			case err != nil:
				return nil, invalid("store updates: update %d names a source that is not a UUID", i)
			case in.source != uuid.Nil && id != in.source:
				return nil, invalid("store updates: update %d names source %s in a stream of source %s", i, id, in.source)
			}
			key.source = id
		}
		if key.source == uuid.Nil {
			key.sourceType = update.Source
			if key.partition = update.Partition; key.partition == "" {
				key.partition = in.peer.Partition
			}
		}
		g := byKey[key]
		if g == nil {
			if err := checkGroup(i, key.source, key.sourceType, key.partition); err != nil {
				return nil, err
			}
			if len(groups) == maxGroups {
				return nil, invalid("store updates: a chunk has updates of more than %d sources or partitions", maxGroups)
			}
			g = &group{source: key.source, sourceType: key.sourceType, partition: key.partition}
			byKey[key] = g
			groups = append(groups, g)
		}
		g.updates = append(g.updates, update)
	}
	if len(groups) == 0 && in.source != uuid.Nil {
		groups = append(groups, &group{source: in.source}) // An empty snapshot.
	}
	return groups, nil
}

func checkGroup(i int, source uuid.UUID, sourceType, partition string) error {
	if source != uuid.Nil {
		return nil
	}
	if !key.MatchString(sourceType) {
		return invalid("store updates: the source %q of update %d is not a word", clean(sourceType, maxName), i)
	}
	if err := certs.ValidLabel(partition); err != nil {
		return invalid("store updates: the partition of update %d: %v", i, err)
	}
	return nil
}

// chunkWriter writes one chunk. What it gathers beside the rows counts only
// once the transaction is kept, and is begun anew when that runs again.
type chunkWriter struct {
	core  *Core
	in    *ingestion
	chunk payload.Chunk

	stats     dire.Stats
	seen      map[uuid.UUID]string
	decisions map[dire.DecisionKind]int
	// retracted is how many things of each source its deletions retracted.
	retracted map[string]int64
}

func (w *chunkWriter) begin() {
	w.stats = dire.Stats{}
	w.seen = maps.Clone(w.in.seen)
	w.retracted = maps.Clone(w.in.retracted)
	w.decisions = map[dire.DecisionKind]int{}
}

// kept takes over what was gathered.
func (w *chunkWriter) kept() {
	w.in.seen, w.in.retracted = w.seen, w.retracted
	for kind, n := range w.decisions {
		w.core.metrics.decisions.WithLabelValues(string(kind)).Add(float64(n))
	}
}

func (w *chunkWriter) write(ctx context.Context, tx TenantTx, events *eventLog, groups []*group) error {
	if err := w.checkAssigned(ctx, tx, groups); err != nil {
		return err
	}
	for _, g := range groups {
		if g.source == uuid.Nil {
			if _, err := w.store(ctx, tx, events, g, Source{}, w.in.foreign(g)); err != nil {
				return err
			}
			continue
		}
		source, err := w.source(ctx, tx, g.source)
		if err != nil {
			return err
		}
		stats, err := w.store(ctx, tx, events, g, source, batchOf(source))
		if err != nil {
			return err
		}
		if err := w.noteRun(ctx, tx, events.now, source, g, stats); err != nil {
			return err
		}
	}
	if w.chunk.Final {
		return w.endRuns(ctx, tx, events)
	}
	return nil
}

// checkAssigned refuses the platform's service in a tenant that has assigned it
// nothing. What a tenant's own service may store is checked source by source.
func (w *chunkWriter) checkAssigned(ctx context.Context, tx TenantTx, groups []*group) error {
	named := func(g *group) bool { return g.source != uuid.Nil }
	if !w.in.service.IsPlatformSync || len(groups) > 0 && !slices.ContainsFunc(groups, func(g *group) bool { return !named(g) }) {
		return nil
	}
	sources, err := tx.Sources(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(sources, func(s Source) bool { return s.SyncServiceID == w.in.service.ID }) {
		return nil
	}
	return &unassigned{"tenant " + w.in.scope.tenant.ID.String()}
}

func (w *chunkWriter) source(ctx context.Context, tx TenantTx, id uuid.UUID) (Source, error) {
	source, err := tx.Source(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && source.SyncServiceID != w.in.service.ID {
		return Source{}, &unassigned{"source " + id.String()}
	}
	return source, err
}

func (w *chunkWriter) store(ctx context.Context, tx TenantTx, events *eventLog, g *group, source Source, batch dire.Batch) (dire.Stats, error) {
	var stats dire.Stats
	batch.Received, batch.Run = events.now, w.in.runOf(g, w.chunk)
	if !g.ready.isOf(batch) {
		var err error
		if g.ready, err = w.core.makeReady(batch, g.updates); err != nil {
			return stats, err
		}
	}
	for _, p := range g.ready.parts {
		plan, err := w.reconcile(ctx, tx, events, g, source, p)
		if err != nil {
			return stats, err
		}
		add(&stats, plan.Stats)
		w.tell(events, plan.Decisions)
	}
	add(&w.stats, stats)
	return stats, nil
}

func add(sum *dire.Stats, more dire.Stats) {
	sum.Stored += more.Stored
	sum.Unchanged += more.Unchanged
	sum.Superseded += more.Superseded
	sum.Refused += more.Refused
	sum.Held += more.Held
}
