package syncrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/payload"
	"edgesync/syncrun/outbox"
)

// errSuperseded is why a run that was read is never delivered.
var errSuperseded = errors.New("a newer run of the source took its place before the gateway had taken it")

// delivery is the state of one source's deliveries while they fail.
type delivery struct {
	backoff *backoff.ExponentialBackOff
	trouble streak
	// run is the one that fails; apart says that its chunks are sent one by
	// one, since the gateway refused the whole for what is in it.
	run   string
	apart bool
	last  error
}

// failing holds a delivery per source that has one failing.
type failing struct {
	mu  sync.Mutex
	all map[string]*delivery
}

func (f *failing) of(source, run string) *delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.all[source]
	if d == nil {
		d = &delivery{backoff: newBackoff()}
		f.all[source] = d
	}
	if d.run != run {
		d.run, d.apart, d.last = run, false, nil
	}
	return d
}

// note keeps why a try failed.
func (f *failing) note(source string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.all[source]; d != nil {
		d.last = err
	}
}

// lastOf is why the last try to deliver a run failed, or nil.
func (f *failing) lastOf(source, run string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.all[source]; d != nil && d.run == run {
		return d.last
	}
	return nil
}

func (f *failing) forget(source string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, source)
}

// deliver sends the oldest run of a source. It returns when the source's turn
// comes again; the zero time when nothing of it waits.
func (r *Runtime) deliver(ctx context.Context, id string) time.Time {
	lease, err := r.outbox.Lease(id)
	var damaged *outbox.DamagedError
	if errors.As(err, &damaged) {
		r.damaged(damaged)
	}
	if err != nil || lease == nil {
		return r.next(id)
	}
	d := r.failing.of(id, lease.Run.ID)
	sent, err := r.attempt(ctx, lease, d)
	if errors.Is(err, errGaveUp) && d.last != nil {
		err = fmt.Errorf("%w: %s", errGaveUp, reason(d.last))
	}
	switch {
	case errors.As(err, &damaged):
		r.damaged(lease.Quarantine(damaged.Err))
	case err != nil && !refused(err) && r.outOfTime(lease.Run):
		// It stays for whoever runs next; this one is not going to see it leave.
		lease.Release()
		r.once.gaveUp(lease.Run.Head, reason(err))
		return time.Time{}
	case err != nil && !refused(err):
		return r.again(ctx, lease, d, err)
	case err != nil:
		e := ending{result: payload.ResultFailed, detail: reason(err), stage: payload.StageDelivery, devices: lease.Run.Updates}
		r.report(lease.Run.Head, lease.Run.Mode, e)
		lease.Refused(cut(oneLine(reason(err)), maxSaid))
		r.loops.lost(id)
		r.announceEnd(lease.Run.Head, e)
		d.trouble.failed(r.options.Logger, "deliver run", "source", lease.Run.Name, "error", err)
	default:
		e := sent.ending(lease.Run)
		r.report(lease.Run.Head, lease.Run.Mode, e)
		lease.Delivered(sent.updates, sent.refused...)
		if sent.chunksAside > 0 {
			r.loops.lost(id)
		}
		d.trouble.recovered(r.options.Logger, "gateway takes runs of source again", "source", lease.Run.Name)
		r.announceEnd(lease.Run.Head, e)
	}
	r.failing.forget(id)
	return r.next(id)
}

// next is at once while a source has more to deliver.
func (r *Runtime) next(id string) time.Time {
	if r.outbox.Waiting(id) {
		return r.options.Now()
	}
	return time.Time{}
}

// attempt sends a run once, whole or, where the gateway refuses what is in it,
// chunk by chunk.
func (r *Runtime) attempt(ctx context.Context, lease *outbox.Lease, d *delivery) (sent, error) {
	if r.options.Once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.giveUpAt(lease.Run).Sub(r.options.Now()), errGaveUp)
		defer cancel()
	}
	if !d.apart {
		result, err := r.sendWhole(ctx, lease)
		code := status.Code(err)
		if !refused(err) || code == codes.PermissionDenied || lease.Run.Chunks == 1 {
			return result, err
		}
		d.apart = true
		if err := lease.Rewind(); err != nil {
			return sent{}, err
		}
	}
	return r.sendApart(ctx, lease)
}

// errGaveUp ends a delivery of Once that takes too long.
var errGaveUp = errors.New("the gateway did not take it in time")

// outOfTime tells whether Once has tried to deliver a run for long enough.
func (r *Runtime) outOfTime(run outbox.Run) bool {
	return r.options.Once && !r.options.Now().Before(r.giveUpAt(run))
}

// giveUpAt is when it has; a run of an earlier process gets as long as one of
// this process's own.
func (r *Runtime) giveUpAt(run outbox.Run) time.Time {
	since := run.Committed
	if since.Before(r.begun) {
		since = r.begun
	}
	return since.Add(r.options.GiveUp)
}

// damaged tells of a run that cannot be read back and has its source read again.
func (r *Runtime) damaged(err *outbox.DamagedError) {
	r.options.Logger.Error("run in outbox is damaged", "source", err.Run.Name, "run_id", err.Run.ID, "file", err.Path, "error", err.Err)
	if err.Run.Source == "" {
		return
	}
	r.loops.lost(err.Run.Source)
	r.ended(err.Run.Head, err.Run.Mode, ending{result: payload.ResultFailed, detail: err.Error(), stage: payload.StageDamaged, devices: err.Run.Updates})
	r.loops.runNow([]string{err.Run.Source})
}

// again gives a run back for a later attempt, unless a newer one is there.
func (r *Runtime) again(ctx context.Context, lease *outbox.Lease, d *delivery, err error) time.Time {
	run := lease.Run
	if !lease.Release() {
		r.failing.forget(run.Source)
		return r.next(run.Source)
	}
	if ctx.Err() != nil {
		return time.Time{}
	}
	r.failing.note(run.Source, err)
	d.trouble.failed(r.options.Logger, "deliver run", "source", run.Name, "error", err)
	delay, _ := retryInfo(err)
	if delay == 0 {
		delay = d.backoff.NextBackOff()
	}
	due := r.options.Now().Add(delay)
	if r.options.Once {
		due = earlier(due, r.giveUpAt(run))
	}
	r.tell(run.Head, Event{Kind: Retrying, Devices: run.Updates, Delay: delay, Detail: reason(err)})
	return due
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sent is what the gateway has acknowledged of a run.
type sent struct {
	updates int64
	// setAside counts chunks and updates that the gateway refused for good;
	// refusal is the first of its reasons.
	chunksAside int
	updatesLost int64
	refusal     error
	refused     []outbox.Refusal
}

// ending is the run's result as far as the delivery decides it.
func (s sent) ending(run outbox.Run) ending {
	e := ending{result: payload.ResultSuccess, detail: run.Note, devices: s.updates, acknowledged: s.updates, refused: run.Refused}
	if s.chunksAside > 0 {
		e.stage = payload.StageDelivery
		note := fmt.Sprintf("the gateway refused %d of %d chunks with %d devices: %s", s.chunksAside, run.Chunks, s.updatesLost, reason(s.refusal))
		if e.detail != "" {
			note = e.detail + "; " + note
		}
		e.detail = note
	}
	switch {
	case s.chunksAside == run.Chunks:
		e.result = payload.ResultFailed
	case e.detail != "":
		e.result, e.stage = payload.ResultPartial, cmp.Or(e.stage, payload.StageRead)
	}
	return e
}
