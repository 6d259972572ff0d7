package tui

import (
	"context"
	"fmt"
	"strings"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/live"
)

// overview tells in sentences what the overview page draws.
func overview(ctx context.Context, opts *Options, client adminv1.AdminClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Watch(ctx, &adminv1.WatchRequest{Tenant: opts.Tenant, Events: 5})
	if err != nil {
		return err
	}
	update, err := stream.Recv()
	if err != nil {
		return err
	}
	now := live.Snapshot{}.Apply(update)
	t := now.Totals()
	if opts.Local != nil && opts.Local() {
		opts.say("Edgesync serve is not running: no sync service can connect.")
	}
	opts.say("Platform %s.", now.Platform.GetTrustDomain())
	opts.say("%s%s.", cmdutil.Plural(int64(t.Tenants), "tenant"), counts(count{t.Suspended, "suspended"}))
	opts.say("%s%s.", cmdutil.Plural(int64(t.Services), "sync service"),
		counts(count{t.Online, "online"}, count{t.Degraded, "degraded"}, count{t.Offline, "offline"}, count{t.Unseen, "never seen"}))
	opts.say("%s%s.", cmdutil.Plural(int64(t.Sources), "source"),
		counts(count{t.Succeeded, "success"}, count{t.Partial, "partial"}, count{t.Failed, "failed"}, count{t.Unrun, "not run"}, count{t.Disabled, "disabled"}))
	opts.say("%s.", cmdutil.Plural(t.Devices, "device"))
	for _, source := range now.Sources() {
		if source.GetEnabled() && source.GetConsecutiveFailures() > 0 {
			opts.say("Attention: source %s of tenant %s fails: %s.", source.GetSpec().GetName(), source.GetTenant(), source.GetLastErrorMessage())
		}
		if n := source.GetHeldRetractions(); n > 0 {
			opts.say("Attention: source %s of tenant %s holds %s.", source.GetSpec().GetName(), source.GetTenant(), cmdutil.Plural(n, "retraction"))
		}
	}
	for i := len(now.Events) - 1; i >= 0; i-- {
		opts.say("Event at %s: %s, tenant %s.", cmdutil.Date(cmdutil.Time(now.Events[i].GetTime())), now.Events[i].GetMessage(), now.Events[i].GetTenant())
	}
	return nil
}

// say prints one line of the result.
func (opts *Options) say(format string, args ...any) {
	_, _ = fmt.Fprintln(opts.IO.Out, cmdutil.Neutralise(fmt.Sprintf(format, args...)))
}

type count struct {
	n    int
	word string
}

// counts are those that are not none: ": 2 online, 1 offline".
func counts(all ...count) string {
	var words []string
	for _, one := range all {
		if one.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", one.n, one.word))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}
