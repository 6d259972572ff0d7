package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"edgesync/proto/payload"
	"edgesync/proto/shell"
)

// commandLife is how long after it was given a service may still begin a command.
const commandLife = 30 * time.Second

// owner is the service that runs a source, of its tenant or the platform's.
func (c *Core) owner(ctx context.Context, s scope, source Source) (Service, error) {
	for _, find := range []func() (scope, error){
		func() (scope, error) { return s, nil },
		func() (scope, error) { return c.platformScope(ctx) },
	} {
		at, err := find()
		if err != nil {
			return Service{}, err
		}
		all, err := services(ctx, at)
		if err != nil {
			return Service{}, err
		}
		i := slices.IndexFunc(all, func(one SyncService) bool { return one.ID == source.SyncServiceID && one.State != ServiceRemoved })
		if i >= 0 {
			found := Service{SyncService: all[i], Tenant: at.tenant}
			c.judge(&found, tally{})
			return found, nil
		}
	}
	return Service{}, precondition("find sync service of source %q: it has none: give it one with `edgesync source edit --service`", source.Name)
}

// reachable refuses a service that no command can reach. doing begins the error:
// what was asked for.
func (c *Core) reachable(service Service, doing string) error {
	if service.State != ServiceActive {
		return precondition("%s: sync service %q is %s: onboard it again", doing, service.Name, service.State)
	}
	if c.lines.connected(service.ID) || service.Status != StatusOffline {
		return nil
	}
	return offline("%s: sync service %q is offline: start it on its host (`edgesync run`), then try again", doing, service.Name)
}

func offline(format string, args ...any) *Error {
	return &Error{Code: codes.Unavailable, Message: fmt.Sprintf(format, args...)}
}

// endedTypes are the types of the events that tell of a command's end, by that
// of the event that says it was asked for.
var endedTypes = map[string]string{
	eventSourceTested: "source.test_ended", eventSourceSyncNow: "source.sync_now_ended", eventServiceSyncNow: "service.sync_now_ended",
}

const (
	eventSourceTested   = "source.tested"
	eventSourceSyncNow  = "source.sync_now"
	eventServiceSyncNow = "service.sync_now"
)

// lasting makes a command that is kept until its end: where the caller goes away
// first, or this process, the service goes on, and an event tells of the end.
func lasting(command Command, actor Actor, asked Event) PendingCommand {
	return PendingCommand{Command: command, By: actor.Name, What: strings.TrimSuffix(asked.Message, askedFor), Ended: endedTypes[asked.Type]}
}

// askedFor ends the message of an event that says a command was asked for.
const askedFor = " asked for"

// command gives a connected service a command and waits for its result; each
// report on the way is passed to progress. One that is not lasting is of no use to
// anybody but the caller.
func (c *Core) command(ctx context.Context, service Service, pending PendingCommand, doing string, progress func(CommandReport) error) (CommandReport, error) {
	if err := c.reachable(service, doing); err != nil {
		return CommandReport{}, err
	}
	pending.ID, pending.Service, pending.CreatedAt, pending.Life = uuid.New(), service.ID, c.now(), commandLife
	command, lasts := pending.Command, pending.Ended != ""
	if lasts {
		if err := c.keepCommand(ctx, pending); err != nil {
			return CommandReport{}, err
		}
	}
	call := newCall()
	if !c.lines.give(command, call, command.CreatedAt) {
		c.dropCommand(ctx, command.ID)
		return CommandReport{}, &Error{
			Code: codes.ResourceExhausted, RetryAfter: laneRetry,
			Message: doing + ": the sync service has too many commands under way: try again later",
		}
	}
	c.publish(ctx, Notice{Command: &command})
	result, err := c.await(ctx, service, call, doing, progress)
	switch {
	case err == nil:
	case ctx.Err() != nil && lasts:
		c.lines.leave(command.ID)
	case !c.lines.leave(command.ID) || !lasts:
		// The caller was told that nobody answers; so nobody is to do it later.
		c.lines.withdraw(command.ID)
		c.dropCommand(ctx, command.ID)
		c.publish(ctx, Notice{Report: &CommandReport{Command: command.ID, Service: command.Service, Kind: ReportWithdrawn}})
	}
	return result, err
}

// await waits for the acknowledgement for a short time and then for the result
// for as long as there are reports.
func (c *Core) await(ctx context.Context, service Service, call *call, doing string, progress func(CommandReport) error) (CommandReport, error) {
	first := c.options.AnswerWithin
	if !c.lines.connected(service.ID) {
		first = min(first, c.options.ReconnectWithin)
	}
	silence := time.NewTimer(first)
	defer silence.Stop()
	heard := false
	for {
		select {
		case <-ctx.Done():
			return CommandReport{}, ctx.Err()
		case <-silence.C:
			return CommandReport{}, c.unanswered(service, heard, doing)
		case <-call.wake:
		}
		for _, report := range call.unread() {
			heard = true
			if report.Kind == ReportResult {
				return report, nil
			}
			if err := progress(report); err != nil {
				return CommandReport{}, err
			}
		}
		silence.Reset(c.options.SilentFor)
	}
}

func (c *Core) unanswered(service Service, heard bool, doing string) error {
	switch {
	case heard:
		return offline("%s: nothing is heard of sync service %q any more: it goes on as soon as it is back; see `edgesync service show`", doing, service.Name)
	case c.lines.connected(service.ID):
		return offline("%s: sync service %q is connected but does not answer: look at its log", doing, service.Name)
	}
	return offline("%s: sync service %q keeps no control stream: it is offline, or one that only polls: try again, or wait for its next poll", doing, service.Name)
}

// refusedBy is a result without success and without anything more to tell.
func refusedBy(service Service, doing string, report CommandReport) error {
	reason := report.Message
	if reason == "" {
		reason = "it does not say why"
	}
	return &Error{Code: codes.Unknown, Message: fmt.Sprintf("%s: sync service %q did not do it: %s", doing, service.Name, reason)}
}

// recordCommand keeps that somebody gave a command, in the tenant it is about.
func (c *Core) recordCommand(ctx context.Context, actor Actor, tenant Tenant, event Event) error {
	s, err := c.scopeOf(ctx, tenant)
	if err != nil {
		return err
	}
	return c.change(ctx, s, func(_ TenantTx, events *eventLog) error {
		events.add(actor, event)
		return nil
	})
}

// TestSource has the service that runs a source read a little of it. That the
// source is not as it should be is a result; an error is that it could not be
// asked for.
func (c *Core) TestSource(ctx context.Context, actor Actor, slug, ref string) (payload.SourceTestResult, error) {
	none := payload.SourceTestResult{}
	s, err := c.scope(ctx, slug)
	if err != nil {
		return none, err
	}
	source, err := c.sourceOf(ctx, s, ref)
	if err != nil {
		return none, err
	}
	service, err := c.owner(ctx, s, source.Source)
	if err != nil {
		return none, err
	}
	return c.runTest(ctx, actor, s, sourceTest{
		source: source.Source, service: service, doing: fmt.Sprintf("test source %q", source.Name),
		event: Event{Type: eventSourceTested, SourceID: source.ID, ServiceID: service.ID, Message: "test of source " + source.Name + askedFor},
	})
}

// sourceTest is a test that can be carried out.
type sourceTest struct {
	source  Source
	service Service
	doing   string
	event   Event
	// draft is the sealed content of one that is not saved.
	draft []byte
}

func (c *Core) runTest(ctx context.Context, actor Actor, s scope, test sourceTest) (payload.SourceTestResult, error) {
	none := payload.SourceTestResult{}
	if err := c.reachable(test.service, test.doing); err != nil {
		return none, err
	}
	if err := c.recordCommand(ctx, actor, s.tenant, test.event); err != nil {
		return none, err
	}
	command := PendingCommand{Command: Command{Type: payload.CommandTestSource, Tenant: s.tenant.ID, Source: test.source.ID, Draft: test.draft}}
	if len(test.draft) == 0 {
		command = lasting(command.Command, actor, test.event)
	}
	report, err := c.command(ctx, test.service, command, test.doing, func(CommandReport) error { return nil })
	if err != nil {
		return none, err
	}
	if len(report.Payload) == 0 {
		return none, refusedBy(test.service, test.doing, report)
	}
	result, err := payload.DecodeSourceTestResult(report.Payload)
	if err != nil {
		return none, refusedBy(test.service, test.doing, CommandReport{Message: err.Error()})
	}
	return cleanTest(result), nil
}

// cleanTest makes a service's words fit to be shown.
func cleanTest(r payload.SourceTestResult) payload.SourceTestResult {
	r.Reason, r.Message = clean(r.Reason, maxName), clean(r.Message, maxReportText)
	for i := range r.Samples {
		d := &r.Samples[i]
		for _, text := range []*string{&d.NativeID, &d.Hostname, &d.IP, &d.MAC, &d.DeviceType, &d.Vendor, &d.Model} {
			*text = clean(*text, maxHelloText)
		}
	}
	return r
}

// SyncNowInput names what is to be run at once: one source of a tenant, or with
// an empty Source every enabled one of a service.
type SyncNowInput struct {
	Tenant, Service, Source string
}

// SyncProgress is how far a sync-now has come.
type SyncProgress struct {
	payload.SyncState
	// Changed are sources that have come further, named.
	Changed []SyncedSource
	// Finished is true of the last one.
	Finished bool
}

// SyncedSource is a source of a SyncProgress with its name.
type SyncedSource struct {
	payload.SyncedSource
	Tenant, Name string
}

// SyncNow has sources run at once, wherever they run, and tells of it until all
// are done. That runs fail is told and is no error.
func (c *Core) SyncNow(ctx context.Context, actor Actor, in SyncNowInput, tell func(SyncProgress) error) error {
	sync, err := c.planSync(ctx, in)
	if err != nil {
		return err
	}
	if err := c.reachable(sync.service, sync.doing); err != nil {
		return err
	}
	if err := c.recordCommand(ctx, actor, sync.about, sync.event); err != nil {
		return err
	}
	if err := tell(SyncProgress{SyncState: payload.SyncState{Total: len(sync.names)}}); err != nil {
		return err
	}
	report, err := c.command(ctx, sync.service, lasting(sync.command, actor, sync.event), sync.doing, func(r CommandReport) error {
		if r.Kind != ReportProgress {
			return nil
		}
		progress, err := sync.progress(r)
		if err != nil {
			c.log.Warn("read progress of command", "component", sync.service.ComponentID, "error", err)
			return nil
		}
		return tell(progress)
	})
	if err != nil {
		return err
	}
	if len(report.Payload) == 0 {
		return refusedBy(sync.service, sync.doing, report)
	}
	progress, err := sync.progress(report)
	if err != nil {
		return refusedBy(sync.service, sync.doing, CommandReport{Message: err.Error()})
	}
	progress.Finished = true
	return tell(progress)
}

// syncOrder is a sync-now that can be carried out.
type syncOrder struct {
	service Service
	command Command
	doing   string
	// about is the tenant whose event it is.
	about Tenant
	event Event
	// names are the sources it is to run, by id.
	names map[string]SourceView
}

func (c *Core) planSync(ctx context.Context, in SyncNowInput) (syncOrder, error) {
	if in.Source != "" {
		return c.planSourceSync(ctx, in)
	}
	service, err := c.Service(ctx, in.Tenant, in.Service)
	if err != nil {
		return syncOrder{}, err
	}
	o := syncOrder{
		service: service, about: service.Tenant, names: map[string]SourceView{},
		command: Command{Type: payload.CommandSyncNow, Tenant: service.Tenant.ID},
		doing:   fmt.Sprintf("sync service %q now", service.Name),
		event:   Event{Type: eventServiceSyncNow, ServiceID: service.ID, Message: "sync of service " + service.Name + askedFor},
	}
	slug := service.Tenant.Slug
	if service.IsPlatformSync {
		slug = ""
	}
	sources, err := c.Sources(ctx, slug, service.ID.String())
	if err != nil {
		return syncOrder{}, err
	}
	for _, source := range sources {
		if source.Enabled && source.Tenant.State == TenantActive {
			o.names[source.ID.String()] = source
		}
	}
	if len(o.names) == 0 {
		return syncOrder{}, precondition("%s: no enabled source is assigned to it: add one with `edgesync source add`", o.doing)
	}
	return o, nil
}

func (c *Core) planSourceSync(ctx context.Context, in SyncNowInput) (syncOrder, error) {
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return syncOrder{}, err
	}
	source, err := c.sourceOf(ctx, s, in.Source)
	if err != nil {
		return syncOrder{}, err
	}
	doing := fmt.Sprintf("sync source %q now", source.Name)
	if !source.Enabled {
		return syncOrder{}, precondition("%s: it is disabled: run `%s` first", doing, shell.Command("edgesync source enable", source.Name, "--tenant "+s.tenant.Slug))
	}
	service, err := c.owner(ctx, s, source.Source)
	if err != nil {
		return syncOrder{}, err
	}
	return syncOrder{
		service: service, about: s.tenant, doing: doing,
		command: Command{Type: payload.CommandSyncNow, Tenant: s.tenant.ID, Source: source.ID},
		event:   Event{Type: eventSourceSyncNow, SourceID: source.ID, ServiceID: service.ID, Message: "sync of source " + source.Name + askedFor},
		names:   map[string]SourceView{source.ID.String(): source},
	}, nil
}

// progress reads a report. Sources that were not asked for are left out: a
// service's word makes nothing known of what is not its own.
func (o *syncOrder) progress(r CommandReport) (SyncProgress, error) {
	state, err := payload.DecodeSyncState(r.Payload)
	if err != nil {
		return SyncProgress{}, err
	}
	if state.Done > state.Total || state.Failed > state.Done {
		return SyncProgress{}, errors.New("read progress of sync-now: its counts do not fit together")
	}
	progress := SyncProgress{SyncState: state}
	for _, s := range state.Sources {
		if source, ok := o.names[s.SourceID]; ok {
			s.State, s.Result, s.Error = clean(s.State, maxName), clean(s.Result, maxName), clean(s.Error, maxReportText)
			progress.Changed = append(progress.Changed, SyncedSource{SyncedSource: s, Tenant: source.Tenant.Slug, Name: source.Name})
		}
	}
	progress.Sources = nil
	return progress, nil
}
