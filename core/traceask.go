package core

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"edgesync/proto/payload"
)

// ask has the runtimes that can be reached look for the device. What one does not
// say is a part of the answer, not an error.
func (c *Core) ask(ctx context.Context, actor Actor, s scope, trace DeviceTrace, ways []*way) error {
	var asked []*way
	for _, w := range ways {
		if w.unheard = c.unaskable(w); w.unheard == "" {
			asked = append(asked, w)
		}
	}
	// Those that are known to have named it come first.
	slices.SortStableFunc(asked, func(a, b *way) int { return len(b.assertions) - len(a.assertions) })
	for _, w := range asked[min(len(asked), maxAsked):] {
		w.unheard = "only so many sources are read for one trace: name this one with --source"
	}
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for _, w := range asked[:min(len(asked), maxAsked)] {
		group.Go(func() error { return c.askOne(ctx, actor, s, w) })
	}
	return group.Wait()
}

// unaskable says why the runtime of a source is not asked, or nothing.
func (c *Core) unaskable(w *way) string {
	switch {
	case w.tenant.State != TenantActive:
		return "its tenant is suspended"
	case w.service == nil:
		return "no sync service runs it"
	case w.wanted.Empty():
		return "nothing is known that the source could name it by"
	case c.reachable(*w.service, "") != nil:
		return "its sync service cannot be reached"
	}
	return ""
}

func (c *Core) askOne(ctx context.Context, actor Actor, s scope, w *way) error {
	err := c.recordCommand(ctx, actor, s.tenant, Event{
		Type: "source.traced", SourceID: w.source.ID, ServiceID: w.service.ID, Message: "trace of a device in source " + w.source.Name + " asked for",
	})
	if err != nil {
		return err
	}
	wanted := w.wanted
	for _, list := range []*[]string{&wanted.NativeIDs, &wanted.MACs, &wanted.IPs, &wanted.Hostnames} {
		*list = (*list)[:min(len(*list), maxWanted)]
	}
	const doing = "trace device"
	report, err := c.command(ctx, *w.service, PendingCommand{Command: Command{
		Type: payload.CommandTraceDevice, Tenant: s.tenant.ID, Source: w.source.ID, Wanted: &wanted,
	}}, doing, func(CommandReport) error { return nil })
	if err == nil && len(report.Payload) == 0 {
		err = refusedBy(*w.service, doing, report)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.unheard = clean(err.Error(), maxReportText)
		return nil
	}
	result, err := payload.DecodeDeviceTraceResult(report.Payload)
	if err != nil {
		w.unheard = clean(err.Error(), maxReportText)
		return nil
	}
	w.live = cleanTrace(result)
	return nil
}

// maxWanted bounds each list of what a runtime is asked for.
const maxWanted = 64

// cleanTrace makes a service's words fit to be shown.
func cleanTrace(r payload.DeviceTraceResult) *payload.DeviceTraceResult {
	texts := []*string{&r.Schedule.Trouble, &r.OutboxFull, &r.Read.Reason, &r.Read.Message}
	for i := range r.Runs {
		texts = append(texts, &r.Runs[i].RunID, &r.Runs[i].Retrying, &r.Runs[i].Refused)
	}
	for i := range r.Read.Sightings {
		d := &r.Read.Sightings[i]
		texts = append(texts, &d.List, &d.Why, &d.Fate, &d.Device.NativeID, &d.Device.Hostname, &d.Device.IP, &d.Device.MAC)
	}
	for _, text := range texts {
		*text = clean(*text, maxReportText)
	}
	return &r
}
