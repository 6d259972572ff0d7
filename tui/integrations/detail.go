package integrations

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/tui/events"
	"edgesync/tui/services"
	"edgesync/tui/ui"
)

// detail follows one source: its settings, its runs and what happened to it.
func (p *Page) detail(id string) ui.Dialog {
	return &ui.Lines{Heading: "Source", Text: func(width int) []string {
		one := p.env.Live.Source(id)
		if one == nil {
			return []string{"It is there no more."}
		}
		s, now, spec := &p.env.Styles, p.env.Now(), one.GetSpec()
		result := one.GetLastSyncResult()
		head := s.Bold.Render(ui.Cut(ui.Clean(spec.GetName()), width-14)) + "  " + s.State(result).Render(ui.Mark(result)+" "+result)
		if !one.GetEnabled() {
			head += s.Warn.Render("  disabled")
		}
		lines := []string{head}
		runner := one.GetSyncServiceName()
		if service := p.env.Live.Service(one.GetSyncServiceId()); service != nil {
			runner += " (" + services.Kind(service) + ", " + services.Status(service) + ")"
		}
		var queries []string
		for _, q := range spec.GetQueries() {
			queries = append(queries, q.GetLabel()+": "+q.GetQuery())
		}
		for _, pair := range [][2]string{
			{"tenant", one.GetTenant()}, {"type", spec.GetSourceType()}, {"endpoint", spec.GetEndpoint()},
			{"run by", runner}, {"partition", spec.GetPartition()}, {"queries", strings.Join(queries, "; ")},
			{"credentials set", strings.Join(one.GetCredentialKeys(), ", ")},
			{"poll interval", interval(spec.GetPollInterval())}, {"discovery", interval(spec.GetDiscoveryInterval())},
			{"left out", strings.Join(spec.GetNetworkBlacklist(), ", ")},
			{"last sync", ui.Ago(one.GetLastSyncAt(), now)}, {"devices then", ui.Count(one.GetLastDeviceCount())},
			{"runs", strconv.FormatInt(one.GetTotalSyncs(), 10)}, {"failures in a row", strconv.Itoa(int(one.GetConsecutiveFailures()))},
		} {
			if pair[1] != "" {
				lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
			}
		}
		for _, line := range ui.Wrap(ui.Clean(one.GetLastErrorMessage()), width) {
			if line != "" {
				lines = append(lines, s.Bad.Render(line))
			}
		}
		lines = append(lines, "", s.Bold.Render("Log"))
		for i := len(p.env.Live.Events) - 1; i >= 0; i-- {
			if event := p.env.Live.Events[i]; event.GetSourceId() == id {
				lines = append(lines, events.Line(p.env, event, width))
			}
		}
		return lines
	}}
}

func interval(d *durationpb.Duration) string {
	if d == nil || d.AsDuration() == 0 {
		return ""
	}
	text := d.AsDuration().String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
