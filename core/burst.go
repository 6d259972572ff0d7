package core

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"edgesync/dire"
	"edgesync/proto/tracing"
)

// What waits of a tenant when its turn comes is stored as one burst: chunks of
// several streams in one transaction, in the order in which they came, each wholly
// or not at all. So many small ones cost one commit.

// job is a chunk on its way into the store.
type job struct {
	*chunkWriter
	ctx    context.Context
	groups []*group
	commit tracing.Span

	// done is closed once err says what became of the chunk.
	done chan struct{}
	err  error
}

func (j *job) end(err error) {
	j.err = err
	close(j.done)
}

func (j *job) ended() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// ingestChunk stores one chunk, alone or in a burst, when it is the tenant's turn.
// Whoever waits and gets the turn first stores for the others, too.
func (c *Core) ingestChunk(ctx context.Context, in *ingestion, a arrival) (dire.Stats, error) {
	if a.invalid != nil {
		return dire.Stats{}, a.invalid
	}
	j := &job{chunkWriter: &chunkWriter{core: c, in: in, chunk: a.chunk}, ctx: ctx, groups: a.groups, done: make(chan struct{})}
	lane := c.lane(in.scope.tenant.ID)
	if err := lane.queue(j); err != nil {
		return dire.Stats{}, err
	}
	for !j.ended() {
		select {
		case <-j.done:
		case lane.turn <- struct{}{}:
			c.storeBurst(lane)
		case <-ctx.Done():
			if lane.withdraw(j) {
				return dire.Stats{}, ctx.Err()
			}
			<-j.done
		}
	}
	var missing *unassigned
	if errors.As(j.err, &missing) {
		return dire.Stats{}, c.notAssigned(ctx, in, missing.what)
	}
	if j.err != nil {
		return dire.Stats{}, doing(j.err, "store chunk %d of run %s", a.chunk.Index, in.stream.RunID)
	}
	return j.stats, nil
}

// storeBurst has the turn, ends each job of a burst and leaves. What is wrong with
// one chunk is not the others' failure: they are then stored one by one.
func (c *Core) storeBurst(lane *lane) {
	defer lane.leave()
	var jobs []*job
	for _, j := range lane.burst() {
		// Asked now and not before the wait, in which the service may be revoked.
		if err := guarded(func() error { _, err := c.member(j.ctx, j.in.peer); return err }); err != nil {
			j.end(err)
			continue
		}
		jobs = append(jobs, j)
	}
	if len(jobs) == 0 {
		return
	}
	err := guarded(func() error { return c.storeJobs(jobs) })
	for i, j := range jobs {
		if err != nil && len(jobs) > 1 && !concernsAll(err) {
			j.end(guarded(func() error { return c.storeJobs(jobs[i : i+1]) }))
		} else {
			j.end(err)
		}
	}
}

// concernsAll tells a store that takes nothing now, and a burst that nobody waits
// for any more, from what may be wrong with one chunk.
func concernsAll(err error) bool {
	var told *Error
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &told) && !told.permanent()
}

// storeJobs stores the chunks of a tenant in one transaction.
func (c *Core) storeJobs(jobs []*job) error {
	ctx, cancel := while(jobs)
	defer cancel()
	err := c.change(ctx, jobs[0].in.scope, func(tx TenantTx, events *eventLog) error {
		for _, j := range jobs {
			j.begin()
			if err := j.write(within{ctx, j.ctx}, tx, events, j.groups); err != nil {
				return err
			}
		}
		for _, j := range jobs {
			_, j.commit = tracing.Below(j.ctx, "commit")
		}
		return nil
	})
	for _, j := range jobs {
		j.commit.End(err)
		if err == nil {
			j.kept()
		}
	}
	return err
}

// while is a context that ends once nobody waits for the jobs any more.
func while(jobs []*job) (context.Context, context.CancelFunc) {
	if len(jobs) == 1 {
		return jobs[0].ctx, func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(jobs[0].ctx))
	var left atomic.Int64
	left.Store(int64(len(jobs)))
	stops := make([]func() bool, len(jobs))
	for i, j := range jobs {
		stops[i] = context.AfterFunc(j.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// within is a context that ends as one does and knows what another does: of which
// trace it is.
type within struct {
	context.Context
	values context.Context
}

// Value is the other context's.
func (w within) Value(key any) any { return w.values.Value(key) }

// guarded turns a panic over one chunk into its error, which is logged and not told.
func guarded(do func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	return do()
}
