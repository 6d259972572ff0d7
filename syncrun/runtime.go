package syncrun

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"

	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun/outbox"
	"edgesync/syncrun/schedule"
)

// lastWord is how long the last heartbeat may take when the runtime ends.
const lastWord = 3 * time.Second

// Runtime runs the sources that the gateway gives one sync service.
type Runtime struct {
	options Options
	session *session
	outbox  *outbox.Outbox
	loops   *loops
	metrics *metrics
	// deliveries holds the sources with runs that wait for the gateway.
	deliveries *pool
	failing    failing
	reports    *reports
	// forgetful says that the reports would not survive the process.
	forgetful atomic.Bool
	// cacheless says that the configuration in force could not be cached.
	cacheless atomic.Bool
	// kick asks for a heartbeat, outdated for the configuration, soon.
	kick, outdated chan struct{}
	// configuring is held while a configuration is applied, polled or pushed;
	// applied counts them.
	configuring sync.Mutex
	applied     atomic.Uint64
	// epoch is the platform's, of the configuration in force.
	epoch string
	// commands are what the gateway told the service to do, watches those of
	// them that wait for runs. rejoin asks for a control stream where the gateway
	// had none.
	commands *commands
	watches  watches
	rejoin   chan struct{}
	once     *once
	// full is how often in a row the outbox had no room.
	full  fullness
	begun time.Time
	// edge says that a configuration made the service its own tenant's; until one
	// does it may be the platform's, which acts for many.
	edge atomic.Bool
	// cache holds the last good configuration; connected says that the one in
	// force is the gateway's word and not the cache's.
	cache     *cache
	connected bool
}

// New checks the options and loads the identity. Nothing is dialled before Run.
func New(o Options) (*Runtime, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Transport == nil {
		config, err := o.Config.ClientTLS()
		if err != nil {
			return nil, err
		}
		o.Transport = credentials.NewTLS(config)
	}
	r := &Runtime{
		options: o, loops: newLoops(o), reports: newReports(), metrics: newMetrics(), failing: failing{all: map[string]*delivery{}},
		kick: make(chan struct{}, 1), outdated: make(chan struct{}, 1),
		commands: newCommands(), rejoin: make(chan struct{}, 1),
	}
	r.loops.pool = newPool(schedule.Limits{Total: o.Workers, PerTenant: o.WorkersPerTenant}, o.Now, r.discover)
	r.deliveries = newPool(schedule.Limits{Total: o.Streams, PerTenant: o.StreamsPerTenant}, o.Now, r.deliver)
	return r, nil
}

// Run connects, announces the service, gets its configuration and runs its
// sources until ctx ends; it then finishes the streams under way within the
// shutdown timeout and returns nil. It is to be called once.
//
// With Options.Once it ends when each source was read and delivered once; a
// source that was not is named by a *SourcesError. There a gateway that refuses
// the service, or is not reached in time, is an error that carries its status.
func (r *Runtime) Run(ctx context.Context) (err error) {
	dir := r.options.DataDir
	if dir != "" {
		dir = filepath.Join(dir, "outbox")
	}
	if r.outbox, err = outbox.Open(dir, outbox.Options{MaxBytes: r.options.OutboxMax, ChunkTarget: r.options.ChunkTarget, Now: r.options.Now}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.outbox.Close()) }()
	r.metrics.box.Store(r.outbox)
	if err := clearUnfinished(r.options.DataDir); err != nil {
		r.options.Logger.Warn("clear away unfinished files", "error", err)
	}
	r.begun = r.options.Now()
	untold, err := r.reports.open(r.options.DataDir)
	r.unkept(err)
	defer r.reports.close()
	if untold > 0 {
		r.options.Logger.Info("reports of runs taken over", "reports", untold)
	}
	r.takeOver(r.outbox.Found())
	if r.cache, err = openCache(r.options); err != nil {
		// The service works without, as long as the gateway is there when it starts.
		r.options.Logger.Warn("no configuration is cached", "error", err)
	}
	conn, err := connect(r.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	r.session = newSession(conn, r.options)
	if err := r.begin(ctx); err != nil {
		if ctx.Err() != nil && !r.options.Once {
			return nil
		}
		return err
	}
	return r.work(ctx)
}

// work runs everything until ctx ends or, with Once, until all is done.
func (r *Runtime) work(ctx context.Context) error {
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var tasks errgroup.Group
	for _, task := range []func(context.Context){r.loops.pool.run, r.talk} {
		tasks.Go(func() error { task(ctx); return nil })
	}
	if r.once != nil {
		select {
		case <-r.once.done:
		case <-ctx.Done():
		}
		stop()
	}
	_ = tasks.Wait()
	r.lastHeartbeat(parent)
	if r.once == nil {
		return nil
	}
	if parent.Err() != nil {
		return fmt.Errorf("run sources once: %w", context.Cause(parent))
	}
	return r.once.err()
}

// talk is all that is said to the gateway, Hello before anything else.
func (r *Runtime) talk(ctx context.Context) {
	if !r.connected && r.begin(ctx) != nil {
		return
	}
	all := []func(context.Context){r.deliveries.run, r.heartbeats}
	if r.once == nil {
		all = append(all, r.refreshes, r.control)
	}
	var tasks errgroup.Group
	for _, task := range all {
		tasks.Go(func() error { task(ctx); return nil })
	}
	_ = tasks.Wait()
}

// lastHeartbeat tells what is untold when the runtime ends.
func (r *Runtime) lastHeartbeat(ctx context.Context) {
	if !r.connected || len(r.reports.pending()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if err := r.heartbeat(ctx); err != nil {
		r.options.Logger.Warn("send last heartbeat", "gateway", r.options.Config.GatewayAddr, "error", err)
	}
}

// ending is how a run ended.
type ending struct {
	// stage is one of payload's, where it did not end well.
	result, detail, stage          string
	devices, refused, acknowledged int64
}

// ended tells everybody who wants to know that a run is over.
func (r *Runtime) ended(head outbox.Head, mode string, e ending) {
	r.report(head, mode, e)
	r.announceEnd(head, e)
}

// report keeps what the gateway is to be told of a run, before the run itself is
// forgotten: a process that ends between the two delivers it once more, and tells
// the same of it.
func (r *Runtime) report(head outbox.Head, mode string, e ending) {
	r.unkept(r.reports.add(payload.RunReport{
		SourceID: head.SourceID, TenantID: head.TenantID, RunID: head.ID, Mode: mode, StartedAt: head.Started, FinishedAt: r.options.Now().UTC().Round(0),
		Result: e.result, Devices: e.devices, Error: e.detail, Stage: e.stage,
	}))
}

// unkept tells of reports that would not survive the process, once until they do
// again.
func (r *Runtime) unkept(err error) {
	if unkept := err != nil; r.forgetful.Swap(unkept) != unkept && unkept {
		r.options.Logger.Warn("reports of runs are not kept over a restart", "error", err)
	}
}

func (r *Runtime) announceEnd(head outbox.Head, e ending) {
	now := r.options.Now()
	r.options.Logger.Info("run ended", "source", head.Name, "run_id", head.ID, "trace_id", tracing.Text(head.ID), "result", e.result, "devices", e.devices,
		"refused", e.refused, "seconds", now.Sub(head.Started).Seconds(), "detail", e.detail)
	r.metrics.lasted.Observe(max(now.Sub(head.Started), 0).Seconds())
	r.tell(head, Event{
		Kind: RunEnded, Devices: e.devices, Refused: e.refused, Total: -1, Acknowledged: e.acknowledged, Sent: e.acknowledged,
		Result: e.result, Detail: e.detail,
	})
	if r.once != nil {
		r.once.ended(head, e)
	}
	wake(r.kick)
}

func (r *Runtime) tell(head outbox.Head, e Event) {
	e.Time = r.options.Now()
	e.Source, e.Tenant, e.SourceID, e.RunID = head.Name, head.Tenant, head.SourceID, head.ID
	r.watches.see(head.Source, e)
	r.observe(e)
}
