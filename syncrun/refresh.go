package syncrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// begin says Hello and gets the first configuration, before anything else
// happens. It repeats both until they succeed; with Once only what repeating can
// mend, and for a limited time. Where the gateway cannot be reached it is content
// with the cached configuration, once; connected says which it was.
func (r *Runtime) begin(ctx context.Context) error {
	var trouble, useless streak
	limit := time.Duration(0)
	if r.options.Once {
		limit = r.options.GiveUp
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := r.greet(ctx)
		switch {
		case err == nil:
			r.connected = true
		case r.options.Once && hopeless(err):
			err = backoff.Permanent(err)
		case status.Code(err) == codes.PermissionDenied:
			r.cache.forget()
		case ctx.Err() == nil && !hopeless(err) && r.fromCache(err, &useless):
			err = nil
		}
		return struct{}{}, err
	}, backoff.WithBackOff(newBackoff()), backoff.WithMaxElapsedTime(limit), backoff.WithNotify(func(err error, _ time.Duration) {
		trouble.failed(r.options.Logger, "connect to gateway", "gateway", r.options.Config.GatewayAddr, "error", err)
		r.observe(Event{Kind: Disconnected, Time: r.options.Now(), Detail: reason(err)})
	}))
	if err == nil && r.connected {
		trouble.recovered(r.options.Logger, "connected to gateway", "gateway", r.options.Config.GatewayAddr)
	}
	return err
}

// fromCache applies the cached configuration and returns whether there was one of
// use.
func (r *Runtime) fromCache(why error, useless *streak) bool {
	if r.applied.Load() > 0 {
		return false
	}
	answer, gateway, err := r.cache.load()
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	r.configuring.Lock()
	defer r.configuring.Unlock()
	if err == nil {
		err = r.configure(answer, false)
	}
	if err != nil {
		useless.failed(r.options.Logger, "start without the gateway", "error", err)
		return false
	}
	r.session.settle(answer)
	r.session.assume(gateway)
	r.options.Logger.Warn("gateway is away: sources are read by the cached configuration", "gateway", r.options.Config.GatewayAddr,
		"version", answer.GetConfigVersion(), "error", why)
	r.observe(Event{Kind: Disconnected, Time: r.options.Now(), Detail: reason(why)})
	return true
}

func (r *Runtime) greet(ctx context.Context) error {
	if _, err := r.session.hello(ctx); err != nil {
		return err
	}
	r.observe(Event{Kind: Connected, Time: r.options.Now()})
	err := r.refresh(ctx)
	if errors.Is(err, errBadConfig) && !r.options.Once {
		// The service is there and waits for a configuration it can read.
		r.options.Logger.Warn("read first configuration", "error", err)
		return nil
	}
	return err
}

// hopeless tells an answer that waiting does not change.
func hopeless(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.NotFound:
		return true
	}
	return errors.Is(err, errBadConfig)
}

// errBadConfig says that the gateway's configuration cannot be read.
var errBadConfig = errors.New("the configuration of the gateway cannot be read")

// refreshes asks for a newer configuration at the pace the gateway names, and
// when told that there is one.
func (r *Runtime) refreshes(ctx context.Context) {
	var trouble streak
	timer := time.NewTimer(r.session.pollInterval())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.outdated:
		case <-timer.C:
		}
		err := r.refresh(ctx)
		timer.Reset(r.session.pollInterval())
		switch {
		case err == nil:
			trouble.recovered(r.options.Logger, "configuration is up to date again")
		case ctx.Err() == nil:
			trouble.failed(r.options.Logger, "refresh configuration", "error", err)
		}
	}
}

// refresh gets the configuration and applies it if it is another one.
func (r *Runtime) refresh(ctx context.Context) error {
	applied := r.applied.Load()
	answer, err := r.session.config(ctx)
	if err != nil {
		return err
	}
	if answer.GetNotModified() {
		if applied == 0 {
			return fmt.Errorf("%w: it says that it has not changed, and this service never got one", errBadConfig)
		}
		r.uncached(r.cache.confirm())
		return nil
	}
	r.configuring.Lock()
	defer r.configuring.Unlock()
	if r.applied.Load() != applied {
		// One was pushed meanwhile, and which of the two is newer cannot be seen.
		wake(r.outdated)
		return nil
	}
	return r.keep(answer)
}

// keep makes a configuration the one in force and the cached one.
func (r *Runtime) keep(answer *monitoring.AgentConfigResponse) error {
	err := r.configure(answer, true)
	if err == nil {
		r.uncached(r.cache.save(answer, r.session.gateway()))
	}
	return err
}

// uncached tells that the configuration is not cached, once until it is again.
func (r *Runtime) uncached(err error) {
	if failed := err != nil; r.cacheless.Swap(failed) != failed && failed {
		r.options.Logger.Warn("configuration is not cached", "error", err)
	}
}

// pushed applies a configuration that the gateway pushed, as if it had been
// asked for.
func (r *Runtime) pushed(answer *monitoring.AgentConfigResponse) error {
	r.configuring.Lock()
	defer r.configuring.Unlock()
	r.session.settle(answer)
	if answer.GetNotModified() || answer.GetConfigVersion() == r.session.configVersion() {
		return nil
	}
	return r.keep(answer)
}

// configure makes a configuration the one in force. One that cannot be read
// leaves the last good one; fresh says that it is the gateway's word of now. The
// caller holds configuring.
func (r *Runtime) configure(answer *monitoring.AgentConfigResponse, fresh bool) error {
	wanted, config, err := readConfig(answer)
	if err != nil {
		err = fmt.Errorf("%w, version %s: %w; the last good one stays in force", errBadConfig, answer.GetConfigVersion(), err)
		r.observe(Event{Kind: ConfigRefused, Time: r.options.Now(), Detail: err.Error()})
		return err
	}
	r.edge.Store(config.Scope != payload.ScopePlatform)
	if r.options.Once {
		r.once = newOnce(wanted)
	}
	c := r.loops.apply(wanted)
	for _, id := range c.stop {
		r.outbox.DropSource(id)
		r.deliveries.remove(id)
		r.failing.forget(id)
		r.watches.gone(id)
	}
	r.share(wanted)
	if r.applied.Load() == 0 {
		r.resume(wanted, fresh)
	}
	if r.applied.Load() > 0 && config.PlatformEpoch != r.epoch {
		// Its backup knows nothing of what was acknowledged since.
		r.loops.startOver()
		r.options.Logger.Warn("platform was restored from a backup: every source is read whole and sent again", "platform_epoch", config.PlatformEpoch)
	}
	r.epoch = config.PlatformEpoch
	// What is to run at once stays so, whatever pace it has now.
	r.loops.runNow(r.watches.waiting())
	r.session.accept(answer.GetConfigVersion())
	r.applied.Add(1)
	r.options.Logger.Info("configuration applied", "version", answer.GetConfigVersion(), "sources", len(wanted),
		"started", len(c.start), "changed", len(c.restart)+len(c.retime), "stopped", len(c.stop))
	r.observe(Event{Kind: Configured, Time: r.options.Now(), Sources: r.loops.sources()})
	return nil
}

func readConfig(answer *monitoring.AgentConfigResponse) (wanted map[string]definition, config payload.Config, err error) {
	if config, err = payload.DecodeConfig(answer.GetConfigJson()); err != nil {
		return nil, config, err
	}
	wanted, err = definitions(config)
	return wanted, config, err
}
