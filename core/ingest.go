package core

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/dire"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
)

const (
	// maxBatch is the most updates planned at once.
	maxBatch = 5_000
	// maxGroups bounds the batches of one chunk: updates of one run are of one
	// source and one partition.
	maxGroups = 64
)

// ingestion is one stream of updates on its way into a tenant's store.
type ingestion struct {
	peer    certs.Peer
	service SyncService
	scope   scope
	stream  payload.Stream
	// source is what the head of the stream names, or zero.
	source uuid.UUID
	began  time.Time
	// seen are the sources whose updates the stream has brought, and their runs.
	seen map[uuid.UUID]string
	// retracted is how many things of each source the stream's deletions retracted.
	retracted map[string]int64
}

// Ingest stores the updates of one stream, chunk by chunk, each wholly or not
// at all. It returns nil once all that next handed out is stored. next is called
// ahead of what is stored, by one goroutine, and its context ends with the stream.
func (c *Core) Ingest(ctx context.Context, peer certs.Peer, stream payload.Stream, next func(context.Context) (payload.Chunk, error)) error {
	in, err := c.openIngestion(ctx, peer, stream)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	arrivals := c.arrivals(ctx, in, next)
	defer func() {
		end()
		for range arrivals {
		}
	}()
	for a := range arrivals {
		if errors.Is(a.err, io.EOF) {
			return nil
		}
		if a.err != nil {
			return a.err
		}
		if err := c.take(ctx, in, a); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// take stores a chunk and counts what became of it.
func (c *Core) take(ctx context.Context, in *ingestion, a arrival) error {
	c.metrics.received.Add(float64(len(a.chunk.Updates)))
	ctx, span := tracing.Below(ctx, "ingest")
	span.Count("chunk_index", int64(a.chunk.Index))
	span.Count("devices", int64(len(a.chunk.Updates)))
	began := time.Now()
	stats, err := c.ingestChunk(ctx, in, a)
	c.metrics.stored.Observe(time.Since(began).Seconds())
	span.End(err)
	c.count(ctx, in, a.chunk, stats, err)
	return err
}

// openIngestion decides whose store a stream goes to: the certificate's tenant,
// or for the platform's service the tenant it names.
func (c *Core) openIngestion(ctx context.Context, peer certs.Peer, stream payload.Stream) (*ingestion, error) {
	a, err := c.member(ctx, peer)
	if err != nil {
		return nil, err
	}
	in := &ingestion{peer: peer, service: a.service, stream: stream, began: c.now(), seen: map[uuid.UUID]string{}, retracted: map[string]int64{}}
	if stream.RunID != "" && !validRunID(stream.RunID) {
		return nil, invalid("store updates: the run id is longer than %d bytes or holds control characters", maxRunID)
	}
	if stream.SourceID != "" {
		if in.source, err = uuid.Parse(stream.SourceID); err != nil {
			return nil, invalid("store updates: the source id %q of the stream is not a UUID", clean(stream.SourceID, maxName))
		}
	}
	tenant := a.tenant
	if a.service.IsPlatformSync {
		if tenant, err = c.actsFor(ctx, in); err != nil {
			return nil, err
		}
	}
	in.scope, err = c.scopeOf(ctx, tenant)
	return in, err
}

// actsFor is the tenant the platform's service streams for. A tenant that is
// not there and one that assigned it nothing look the same.
func (c *Core) actsFor(ctx context.Context, in *ingestion) (Tenant, error) {
	id, err := uuid.Parse(in.stream.TenantID)
	if err != nil {
		return Tenant{}, invalid("store updates: a stream of the platform's sync service names its tenant by tenant_id, %q is none", clean(in.stream.TenantID, maxName))
	}
	tenant, err := c.tenantByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Tenant{}, c.notAssigned(ctx, in, "tenant "+id.String())
	}
	if err == nil && tenant.State != TenantActive {
		return Tenant{}, denied("store updates: tenant %s is suspended", tenant.Slug)
	}
	return tenant, err
}

// reasonNotAssigned is what a service has not been given.
const reasonNotAssigned = "not_assigned"

// notAssigned refuses what a service has not been given, and keeps that it tried.
func (c *Core) notAssigned(ctx context.Context, in *ingestion, what string) error {
	c.Refused(ctx, in.peer, "store updates of "+what, reasonNotAssigned)
	return denied("store updates: %s is not assigned to sync service %s: read the configuration again", what, in.peer.Component)
}

// unassigned is what a chunk names and its service has not been given.
type unassigned struct{ what string }

func (u *unassigned) Error() string { return u.what + " is not assigned" }

// count keeps the books of a chunk: its updates equal what became of them.
func (c *Core) count(ctx context.Context, in *ingestion, chunk payload.Chunk, stats dire.Stats, err error) {
	var refusal *Error
	outcome := outcomeStored
	switch {
	case err == nil:
		c.metrics.outcome.WithLabelValues(outcomeStored).Add(float64(stats.Stored))
		c.metrics.outcome.WithLabelValues(outcomeUnchanged).Add(float64(stats.Unchanged))
		c.metrics.outcome.WithLabelValues(outcomeSuperseded).Add(float64(stats.Superseded))
		c.metrics.outcome.WithLabelValues(outcomeRefused).Add(float64(stats.Refused))
		c.metrics.outcome.WithLabelValues(outcomeHeld).Add(float64(stats.Held))
	case errors.As(err, &refusal) && refusal.permanent():
		outcome = outcomeRefused
	default:
		outcome = outcomeFailed
	}
	c.metrics.chunks.WithLabelValues(outcome).Inc()
	c.pulses.received(in.scope.tenant.ID, len(chunk.Updates))
	if err != nil {
		c.metrics.outcome.WithLabelValues(outcome).Add(float64(len(chunk.Updates)))
	}
	c.log.Debug("ingest chunk", "tenant", in.scope.tenant.Slug, "component", in.peer.Component,
		"run_id", in.stream.RunID, "trace_id", tracing.Current(ctx, in.stream.RunID), "chunk", chunk.Index, "updates", len(chunk.Updates), "outcome", outcome)
}
