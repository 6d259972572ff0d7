package serve

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/manager"
	"edgesync/gateway"
	adminv1 "edgesync/proto/admin/v1"
)

// Live is what may change while a platform is served. The zero value is any
// network and the default limits.
type Live struct {
	Allow  Allow
	Limits Limits
}

// Limits bound what one caller of the gateway can do.
type Limits struct {
	// Connections is per component, Streams per tenant and at once, Calls per
	// connection and second.
	Connections, Streams, Calls int
}

func defaultLimits() Limits {
	l := gateway.DefaultLimits()
	return Limits{Connections: l.Connections, Streams: l.TenantStreams, Calls: int(l.CallRate)}
}

// burst is how many seconds' worth of calls may come at once.
const burst = 4

// gateway are the limits as the gateway knows them.
func (l Limits) gateway() gateway.Limits {
	all := gateway.DefaultLimits()
	if l == (Limits{}) {
		return all
	}
	all.Connections, all.TenantStreams = l.Connections, l.Streams
	all.CallRate, all.CallBurst = float64(l.Calls), l.Calls*burst
	// A stream that is reset costs less than a call, and is counted with them.
	all.StreamRate, all.StreamBurst = max(all.StreamRate, 5*all.CallRate), max(all.StreamBurst, 5*all.CallBurst)
	return all
}

// Change takes other live settings, and looks at the certificates anew.
func (p *Platform) Change(ctx context.Context, live Live) error {
	p.guards.allow(live.Allow)
	p.gateway.Limit(live.Limits.gateway())
	return p.renew(ctx)
}

// Works tells whether the platform answers within patience. A database elsewhere
// that does not is no fault a restart of this process would mend.
func (p *Platform) Works(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := p.Admin.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	return status.Code(err) != codes.DeadlineExceeded || p.state.Shared()
}

// attend tells the service manager how the platform is and has a hangup signal
// read the settings anew, until the function it returns is called.
func (opts *Options) attend(ctx context.Context, platform *Platform, threshold *slog.LevelVar) (done func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	service := manager.New(opts.Env)
	var group sync.WaitGroup
	group.Go(func() { service.Watch(watching, platform.Works) })
	group.Go(func() {
		running := opts
		for {
			select {
			case <-watching.Done():
				return
			case <-hangups:
				service.Tell("RELOADING=1")
				running = running.reload(watching, platform, threshold)
				service.Tell("READY=1")
			}
		}
	})
	stopping := context.AfterFunc(ctx, func() { service.Tell("STOPPING=1") })
	service.Tell("READY=1", "STATUS=gateway at "+platform.GatewayAddr.String())
	return func() {
		stopping()
		signal.Stop(hangups)
		stop()
		group.Wait()
	}
}

// reload reads the settings anew, applies what can be applied and says what
// cannot. It returns the options that hold from then on.
func (opts *Options) reload(ctx context.Context, platform *Platform, threshold *slog.LevelVar) *Options {
	log := platform.config.Logger
	fresh, err := opts.again()
	if err != nil {
		log.Error("settings were not read again: those from before hold", "error", cmdutil.ErrorLine(err))
		return opts
	}
	for i, value := range fresh.values {
		was := opts.values[i]
		switch {
		case value.Same(was):
		case value.Live:
			log.Info("setting changed", "setting", value.Key, "value", value.String(), "was", was.String(), "from", value.Where)
		default:
			log.Warn("setting changed, and needs a restart", "setting", value.Key, "from", value.Where)
			fresh.values[i] = was
		}
	}
	threshold.Set(slog.Level(fresh.LogLevel))
	if err := platform.Change(ctx, fresh.live()); err != nil {
		log.Error("renew server certificates", "error", err)
	}
	log.Info("settings were read again")
	return fresh
}
