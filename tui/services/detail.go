package services

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/events"
	"edgesync/tui/ui"
)

// detail follows one service: its record, its sources and the log of its runs.
func (p *Page) detail(id string) ui.Dialog {
	return &ui.Lines{Heading: "Sync service", Text: func(width int) []string {
		service := p.env.Live.Service(id)
		if service == nil {
			return []string{"It is there no more."}
		}
		return append(p.record(service, width), p.work(service, width)...)
	}}
}

func (p *Page) record(one *adminv1.SyncService, width int) []string {
	s, now := &p.env.Styles, p.env.Now()
	status := Status(one)
	kind := "edge, of tenant " + one.GetTenant()
	if one.GetIsPlatformSync() {
		kind = "platform, of every tenant that may use it"
	}
	lines := []string{
		s.Bold.Render(ui.Cut(ui.Clean(one.GetName()), width-14)) + "  " + s.State(status).Render(ui.Mark(status)+" "+status),
		ui.Pair(s, "kind", kind, width), ui.Pair(s, "component id", one.GetComponentId(), width),
		ui.Pair(s, "partition", one.GetPartition(), width),
		ui.Pair(s, "first hello", ui.Ago(one.GetFirstHelloAt(), now), width),
		ui.Pair(s, "last heartbeat", ui.Ago(one.GetLastHeartbeatAt(), now), width),
	}
	for _, pair := range [][2]string{
		{"version", one.GetVersion()}, {"host", strings.TrimSpace(one.GetHostname() + " " + one.GetOs() + " " + one.GetArch())},
		{"capabilities", strings.Join(one.GetCapabilities(), ", ")},
		{"certificate", one.GetCertSerial()}, {"expires", ui.Until(one.GetCertExpiresAt(), now)},
	} {
		if pair[1] != "" {
			lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
		}
	}
	return lines
}

// work is what the service runs, and the latest of its runs.
func (p *Page) work(one *adminv1.SyncService, width int) []string {
	s, now := &p.env.Styles, p.env.Now()
	lines := []string{"", s.Bold.Render("Sources")}
	mine := map[string]bool{}
	for _, source := range p.env.Live.Sources() {
		if source.GetSyncServiceId() != one.GetId() {
			continue
		}
		mine[source.GetId()] = true
		result := source.GetLastSyncResult()
		name := source.GetSpec().GetName()
		if one.GetIsPlatformSync() {
			name = source.GetTenant() + "/" + name
		}
		lines = append(lines, s.State(result).Render(ui.Mark(result)+" "+ui.Fit(result, 9))+" "+
			ui.Fit(ui.Clean(name), max(width-46, 8))+" "+ui.Fit(ui.Count(source.GetLastDeviceCount()), 10)+" "+ui.Ago(source.GetLastSyncAt(), now))
		if text := source.GetLastErrorMessage(); text != "" {
			lines = append(lines, s.Bad.Render("  "+ui.Cut(ui.Clean(text), width-2)))
		}
	}
	if len(mine) == 0 {
		lines = append(lines, s.Dim.Render("none: page 2, key n adds one"))
	}
	lines = append(lines, "", s.Bold.Render("Log"))
	all := p.env.Live.Events
	for i, shown := len(all)-1, 0; i >= 0 && shown < 50; i-- {
		if all[i].GetServiceId() == one.GetId() || mine[all[i].GetSourceId()] {
			lines = append(lines, events.Line(p.env, all[i], width))
			shown++
		}
	}
	return lines
}

// rename is the form of a service's new name.
type rename struct {
	env     *ui.Env
	service *adminv1.SyncService
	form    *ui.Form
}

type renamedMsg struct {
	form *rename
	err  error
}

func newRename(env *ui.Env, service *adminv1.SyncService) *rename {
	return &rename{env: env, service: service, form: ui.NewForm(
		ui.Text("name", "Name", service.GetName(), "The component id "+service.GetComponentId()+", and so its identity, stays."),
	)}
}

// Title implements ui.Dialog.
func (r *rename) Title() string { return "Rename sync service " + r.service.GetName() }

// Keys implements ui.Dialog.
func (r *rename) Keys() []ui.Key {
	return []ui.Key{{Keys: "enter", Does: "rename"}, {Keys: "esc", Does: "cancel"}}
}

// Escape implements ui.Dialog.
func (r *rename) Escape() bool { return true }

// View implements ui.Dialog.
func (r *rename) View(width, height int) string { return r.form.View(&r.env.Styles, width, height) }

// Update implements ui.Dialog.
func (r *rename) Update(msg tea.Msg) tea.Cmd {
	if done, ok := msg.(renamedMsg); ok && done.form == r {
		if done.err != nil {
			r.form.Fields[0].Error = ui.ErrorText(done.err)
			return nil
		}
		return tea.Sequence(ui.Close, ui.Toast("renamed"))
	}
	if !r.form.Update(msg) {
		return nil
	}
	request := &adminv1.RenameServiceRequest{Tenant: r.service.GetTenant(), Service: r.service.GetId(), Name: r.form.Value("name")}
	return r.env.Do(func(ctx context.Context) tea.Msg {
		_, err := r.env.Client.RenameService(ctx, request)
		return renamedMsg{r, err}
	})
}
