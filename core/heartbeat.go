package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/proto/payload"
)

// flushDeadline bounds the writing of heartbeats, which goes on when the call
// that began it is gone.
const flushDeadline = 10 * time.Second

// Status takes one heartbeat and the reports of runs in it. A report that
// cannot be taken, of a source that was given to another service for example,
// is counted and left out: a heartbeat is never refused for it.
func (c *Core) Status(ctx context.Context, peer certs.Peer, health []payload.Health) error {
	a, err := c.member(ctx, peer)
	if err != nil {
		return err
	}
	c.metrics.beats.Inc()
	if err := c.beat(ctx, a, c.beatOf(health)); err != nil {
		return err
	}
	return c.takeReports(ctx, a, health)
}

// beatOf is what a heartbeat says of its service. One of its statuses tells of
// the outbox; what was never true is not kept.
func (c *Core) beatOf(health []payload.Health) Beat {
	beat := Beat{At: c.now()}
	for _, one := range health {
		beat.OutboxBytes = max(beat.OutboxBytes, one.OutboxBytes)
		beat.OutboxRuns = max(beat.OutboxRuns, int64(one.OutboxRuns))
	}
	return beat
}

// beat keeps a service's last heartbeat. Heartbeats of one tenant
// that come while others are being written are written together by whoever is
// writing already, so that many of them cost few transactions, and none is
// older than the one before it took.
func (c *Core) beat(ctx context.Context, a admission, beat Beat) error {
	lane := c.lane(a.tenant.ID)
	lane.mu.Lock()
	lane.beats[a.service.ID] = beat
	if lane.flushing {
		lane.mu.Unlock()
		return nil
	}
	lane.flushing = true
	lane.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushDeadline)
	defer cancel()
	for {
		beats := lane.takeBeats()
		if beats == nil {
			return nil
		}
		if err := c.writeBeats(ctx, a.tenant, beats); err != nil {
			lane.stopFlushing()
			return err
		}
	}
}

// takeBeats takes what is to be written; when that is nothing the flushing ends
// with the same look, so that no heartbeat is left behind.
func (l *lane) takeBeats() map[uuid.UUID]Beat {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.beats) == 0 {
		l.flushing = false
		return nil
	}
	beats := maps.Clone(l.beats)
	clear(l.beats)
	return beats
}

func (l *lane) stopFlushing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushing = false
}

func (c *Core) writeBeats(ctx context.Context, tenant Tenant, beats map[uuid.UUID]Beat) error {
	s, err := c.scopeOf(ctx, tenant)
	if err != nil {
		return err
	}
	err = s.store.Update(ctx, func(tx TenantTx) error {
		for service, beat := range beats {
			if err := tx.Heartbeat(ctx, service, beat); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record heartbeats of tenant %s: %w", tenant.Slug, err)
	}
	c.pulses.touch(tenant.ID)
	return nil
}
