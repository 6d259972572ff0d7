package services

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/events"
	"edgesync/tui/live"
	"edgesync/tui/runs"
	"edgesync/tui/ui"
)

// detail follows one service: its record, its sources, the log of its runs and
// what happened to it.
func (p *Page) detail(one *adminv1.SyncService) ui.Dialog {
	id := one.GetId()
	log := runs.New(p.env, &adminv1.ListRunsRequest{Tenant: one.GetTenant(), Service: id}, func() int64 { return p.moved(id) })
	return &ui.Lines{
		Env:     p.env,
		Heading: "Sync service " + one.GetName(), Sheet: true,
		Text: func(width int) []string {
			service := p.env.Live.Service(id)
			if service == nil {
				return []string{"It is there no more."}
			}
			lines := append(p.record(service, width), p.sources(service, width)...)
			lines = append(lines, "", p.env.Styles.Bold.Render("Runs"))
			lines = append(lines, log.Lines(width, true)...)
			return append(lines, p.log(service, width)...)
		},
		Extra: func() []ui.Key { return p.actions(p.env.Live.Service(id)) },
		On: func(key string) tea.Cmd {
			if service := p.env.Live.Service(id); service != nil {
				return p.act(service, key)
			}
			return nil
		},
		Heard: log.Update,
	}
}

// moved is a number that changes when a service may have begun, gone on with or
// ended a run.
func (p *Page) moved(id string) int64 {
	var n int64
	for _, tenant := range p.env.Live.Tenants {
		for _, source := range tenant.GetSources() {
			if source.GetSyncServiceId() == id {
				n += source.GetTotalSyncs() + tenant.GetUpdatesReceived() + 1
			}
		}
	}
	return n
}

func (p *Page) record(one *adminv1.SyncService, width int) []string {
	s, now := &p.env.Styles, p.env.Now()
	status := Status(one)
	kind := "edge, of tenant " + one.GetTenant()
	if one.GetIsPlatformSync() {
		kind = "platform, of every tenant that may use it"
	}
	outbox := "empty"
	if n := one.GetOutboxRuns(); n > 0 {
		outbox = ui.Plural(n, "run") + " to deliver, " + ui.Bytes(one.GetOutboxBytes())
	}
	lines := []string{s.State(status).Render(ui.Mark(status) + " " + status)}
	for _, pair := range [][2]string{
		{"kind", kind}, {"component id", one.GetComponentId() + ", partition " + one.GetPartition()},
		{"last heartbeat", ui.Ago(one.GetLastHeartbeatAt(), now) + ", first hello " + ui.Ago(one.GetFirstHelloAt(), now)},
		{"outbox", outbox},
		{"version", strings.TrimSpace(one.GetVersion() + on(one))}, {"capabilities", strings.Join(one.GetCapabilities(), ", ")},
		{"certificate", "expires " + ui.Until(one.GetCertExpiresAt(), now) + serial(one)},
		{"configured", configured(one, p.env)},
	} {
		if pair[1] != "" {
			lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
		}
	}
	return lines
}

// on is the host a service runs on.
func on(one *adminv1.SyncService) string {
	var words []string
	for _, word := range []string{one.GetHostname(), one.GetOs(), one.GetArch()} {
		if word != "" {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return ""
	}
	if one.GetEndpoint() != "" {
		words = append(words, "at", one.GetEndpoint())
	}
	return " on " + strings.Join(words, " ")
}

func serial(one *adminv1.SyncService) string {
	if one.GetCertSerial() == "" {
		return ""
	}
	return ", serial " + one.GetCertSerial()
}

// configured is since when a service runs the configuration it has.
func configured(one *adminv1.SyncService, env *ui.Env) string {
	if one.GetConfigAppliedAt() == nil {
		return ""
	}
	return ui.Ago(one.GetConfigAppliedAt(), env.Now()) + ", version " + one.GetConfigVersion()
}

// sources are those the service runs.
func (p *Page) sources(one *adminv1.SyncService, width int) []string {
	s, now := &p.env.Styles, p.env.Now()
	lines := []string{"", s.Bold.Render("Sources")}
	for _, source := range p.env.Live.Sources() {
		if source.GetSyncServiceId() != one.GetId() {
			continue
		}
		result := live.Result(source)
		word := result
		if word == "" {
			word = "not run"
		}
		name := source.GetSpec().GetName()
		if one.GetIsPlatformSync() {
			name = source.GetTenant() + "/" + name
		}
		lines = append(lines, s.State(result).Render(ui.Mark(result)+" "+ui.Fit(word, 9))+" "+
			ui.Fit(ui.Clean(name), max(min(width-50, 40), 8))+" "+ui.Fit(ui.Plural(source.GetLastDeviceCount(), "device"), 18)+" "+ui.Ago(source.GetLastSyncAt(), now))
	}
	if len(lines) == 2 {
		lines = append(lines, s.Dim.Render("none: page 2, key n adds one"))
	}
	return lines
}

// log is what happened to the service, the latest first.
func (p *Page) log(one *adminv1.SyncService, width int) []string {
	const most = 30
	lines := []string{"", p.env.Styles.Bold.Render("Events")}
	all := p.env.Live.Events
	for i := len(all) - 1; i >= 0 && len(lines) < most; i-- {
		if all[i].GetServiceId() == one.GetId() {
			lines = append(lines, events.Line(p.env, all[i], width))
		}
	}
	if len(lines) == 2 {
		lines = append(lines, p.env.Styles.Dim.Render("none lately"))
	}
	return lines
}
