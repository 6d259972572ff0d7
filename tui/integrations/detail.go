package integrations

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/shell"
	"edgesync/tui/events"
	"edgesync/tui/runs"
	"edgesync/tui/services"
	"edgesync/tui/ui"
)

// detail follows one source: its settings, the log of its runs and what happened
// to it.
func (p *Page) detail(one *adminv1.Source) ui.Dialog {
	id := one.GetId()
	log := runs.New(p.env, &adminv1.ListRunsRequest{Tenant: one.GetTenant(), Source: id}, func() int64 {
		return p.env.Live.Source(id).GetTotalSyncs() + p.env.Live.Tenant(one.GetTenant()).GetUpdatesReceived()
	})
	return &ui.Lines{
		Env:     p.env,
		Heading: "Source " + one.GetSpec().GetName() + " of tenant " + one.GetTenant(), Sheet: true,
		Text: func(width int) []string {
			now := p.env.Live.Source(id)
			if now == nil {
				return []string{"It is there no more."}
			}
			lines := append(p.record(now, width), "", p.env.Styles.Bold.Render("Runs"))
			lines = append(lines, log.Lines(width, false)...)
			return append(lines, p.log(id, width)...)
		},
		Extra: func() []ui.Key { return p.actions(p.env.Live.Source(id)) },
		On: func(key string) tea.Cmd {
			if now := p.env.Live.Source(id); now != nil {
				return p.act(now, key)
			}
			return nil
		},
		Heard: log.Update,
	}
}

func (p *Page) record(one *adminv1.Source, width int) []string {
	s, now, spec := &p.env.Styles, p.env.Now(), one.GetSpec()
	result := one.GetLastSyncResult()
	word := result
	if word == "" {
		word = "not run yet"
	}
	head := s.State(result).Render(ui.Mark(result) + " " + word)
	if !one.GetEnabled() {
		head += s.Warn.Render("   ◐ disabled")
	}
	if n := one.GetHeldRetractions(); n > 0 {
		head += s.Warn.Render("   ◐ " + ui.Plural(n, "retraction") + " held: h on the page settles them")
	}
	lines := []string{head}
	for _, line := range ui.Wrap(ui.Clean(one.GetLastErrorMessage()), width) {
		if line != "" {
			lines = append(lines, s.Bad.Render(line))
		}
	}
	runner := one.GetSyncServiceName()
	if service := p.env.Live.Service(one.GetSyncServiceId()); service != nil {
		runner += " (" + services.Kind(service) + ", " + services.Status(service) + ")"
	}
	var queries []string
	for _, q := range spec.GetQueries() {
		queries = append(queries, q.GetLabel()+": "+q.GetQuery())
	}
	for _, pair := range [][2]string{
		{"type", spec.GetSourceType()}, {"endpoint", spec.GetEndpoint()}, {"run by", runner},
		{"partition", spec.GetPartition()}, {"queries", strings.Join(queries, "; ")},
		{"credentials set", strings.Join(one.GetCredentialKeys(), ", ")},
		{"poll interval", interval(spec.GetPollInterval())}, {"discovery", interval(spec.GetDiscoveryInterval())},
		{"left out", strings.Join(spec.GetNetworkBlacklist(), ", ")}, {"TLS", verified(spec)},
		{"last sync", ui.Ago(one.GetLastSyncAt(), now)}, {"devices then", ui.Count(one.GetLastDeviceCount())},
		{"runs", ui.Count(one.GetTotalSyncs()) + failures(one)}, {"id", one.GetId()},
	} {
		if pair[1] != "" {
			lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
		}
	}
	return lines
}

func verified(spec *adminv1.SourceSpec) string {
	if spec.GetInsecureSkipVerify() {
		return "any certificate is accepted"
	}
	return ""
}

func failures(one *adminv1.Source) string {
	if n := one.GetConsecutiveFailures(); n > 0 {
		return fmt.Sprintf(", the last %d failed", n)
	}
	return ""
}

// log is what happened to a source, the latest first.
func (p *Page) log(id string, width int) []string {
	const most = 30
	lines := []string{"", p.env.Styles.Bold.Render("Events")}
	all := p.env.Live.Events
	for i := len(all) - 1; i >= 0 && len(lines) < most; i-- {
		if all[i].GetSourceId() == id {
			lines = append(lines, events.Line(p.env, all[i], width))
		}
	}
	if len(lines) == 2 {
		lines = append(lines, p.env.Styles.Dim.Render("none lately"))
	}
	return lines
}

func interval(d *durationpb.Duration) string {
	if d == nil || d.AsDuration() == 0 {
		return ""
	}
	return shell.Duration(d.AsDuration())
}
