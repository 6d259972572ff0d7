package syncrun

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

const (
	// serviceName is the name and type of every status of a sync service.
	serviceName = "sync"
	// minHeartbeat keeps the heartbeats after runs apart, so that many runs
	// that end together are told of in one.
	minHeartbeat = time.Second
	// maxPush bounds the status messages of one request, which has to stay
	// below what a gRPC peer takes by default.
	maxPush = 3 << 20
)

// heartbeats tells the gateway that the service lives, at the pace the gateway
// names and soon after each run.
func (r *Runtime) heartbeats(ctx context.Context) {
	var trouble streak
	var last time.Time
	clock := newClock(r.options.Now)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
			if wait := minHeartbeat - r.options.Now().Sub(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		clock.watch(r)
		if trouble.count > 0 {
			r.announce(ctx)
		}
		err := r.heartbeat(ctx)
		last = r.options.Now()
		timer.Reset(r.session.heartbeatInterval())
		switch {
		case err == nil:
			trouble.recovered(r.options.Logger, "gateway answers heartbeats again", "gateway", r.options.Config.GatewayAddr)
		case ctx.Err() == nil:
			trouble.failed(r.options.Logger, "send heartbeat", "gateway", r.options.Config.GatewayAddr, "error", err)
			r.observe(Event{Kind: Disconnected, Time: r.options.Now(), Detail: reason(err)})
		}
	}
}

// announce repeats Hello after the gateway was away: it may be another one.
func (r *Runtime) announce(ctx context.Context) {
	outdated, err := r.session.hello(ctx)
	if err != nil {
		return
	}
	r.observe(Event{Kind: Connected, Time: r.options.Now()})
	wake(r.rejoin)
	if outdated {
		wake(r.outdated)
	}
}

// heartbeat sends the state of the service and every report not answered yet.
func (r *Runtime) heartbeat(ctx context.Context) error {
	bytes, runs := r.outbox.Stats()
	messages, err := packHealth(payload.Health{OutboxBytes: bytes, OutboxRuns: runs}, r.reports.pending())
	if err != nil {
		return err
	}
	for len(messages) > 0 {
		n, size := 0, 0
		for n < len(messages) && n < payload.MaxServices && size+messages[n].size <= maxPush {
			size += messages[n].size
			n++
		}
		if err := r.push(ctx, messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

func (r *Runtime) push(ctx context.Context, messages []*healthMessage) error {
	statuses := make([]*monitoring.GatewayServiceStatus, len(messages))
	for i, m := range messages {
		statuses[i] = &monitoring.GatewayServiceStatus{
			ServiceName: serviceName, Available: true, Message: m.json(), ServiceType: serviceName,
			AgentId: r.options.Config.AgentID, Partition: r.options.Config.Partition, Source: "status",
		}
	}
	err := r.session.push(ctx, statuses)
	if err != nil && (!refused(err) || status.Code(err) == codes.PermissionDenied) {
		return err
	}
	if err != nil {
		// The same reports would be refused for ever, and every heartbeat with
		// them.
		r.options.Logger.Warn("report runs", "gateway", r.options.Config.GatewayAddr, "error", err)
	}
	var carried []report
	for _, m := range messages {
		carried = append(carried, m.reports...)
	}
	r.unkept(r.reports.answered(carried))
	return err
}

// wake puts a token into a channel that holds one.
func wake(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
