// Package tenants is the page of tenants: what each has, making one, suspending
// and resuming it.
package tenants

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/live"
	"edgesync/tui/ui"
)

// Page is the list of tenants.
type Page struct {
	env   *ui.Env
	table ui.Table
}

// New makes the page.
func New(env *ui.Env) *Page {
	return &Page{env: env, table: ui.Table{Columns: []ui.Column{
		{Title: "TENANT", Share: 1}, {Title: "KIND", Width: 8}, {Title: "NAME", Share: 1, Level: 1}, {Title: "STATE", Width: 11},
		{Title: "SERVICES", Width: 8, Right: true}, {Title: "SOURCES", Width: 7, Right: true},
		{Title: "DEVICES", Width: 10, Right: true}, {Title: "PLATFORM SYNC", Width: 13, Level: 2},
	}}}
}

// Name implements ui.Page.
func (p *Page) Name() string { return "Tenants" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return false }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	keys := []ui.Key{
		{Keys: "enter", Does: "details", Off: p.current() == nil},
		{Keys: "c", Does: "create tenant", Off: p.env.RefusalOfTenants() != ""},
	}
	return append(keys, p.actions(p.current())...)
}

// actions are what can be done to a tenant.
func (p *Page) actions(t *adminv1.TenantSummary) []ui.Key {
	off := t == nil || p.refusal(t) != ""
	suspend := ui.Key{Keys: "s", Does: "suspend", Off: off}
	if t.GetTenant().GetState() == "suspended" {
		suspend.Does = "resume"
	}
	return []ui.Key{suspend, {Keys: "d", Does: "remove", Off: off}}
}

// refusal is why nothing can be done to a tenant, or empty.
func (p *Page) refusal(t *adminv1.TenantSummary) string {
	if refusal := p.env.RefusalOfTenants(); refusal != "" {
		return refusal
	}
	if t.GetTenant().GetIsPlatform() {
		return "it is the platform's own"
	}
	return ""
}

func (p *Page) current() *adminv1.TenantSummary {
	if p.table.Cursor >= len(p.env.Live.Tenants) {
		return nil
	}
	return p.env.Live.Tenants[p.table.Cursor]
}

// Update implements ui.Page.
func (p *Page) Update(msg tea.Msg) tea.Cmd {
	key, ok := msg.(tea.KeyPressMsg)
	if !ok {
		p.table.Update(msg, len(p.env.Live.Tenants))
		return nil
	}
	switch key.String() {
	case "c":
		if refusal := p.env.RefusalOfTenants(); refusal != "" {
			return ui.Refuse("create tenant", refusal)
		}
		return p.env.Open(newCreate(p.env))
	case "enter":
		if t := p.current(); t != nil {
			return p.env.Open(p.detail(t.GetTenant().GetSlug()))
		}
		return nil
	}
	if t := p.current(); t != nil {
		if cmd := p.act(t, key.String()); cmd != nil {
			return cmd
		}
	}
	p.table.Update(msg, len(p.env.Live.Tenants))
	return nil
}

// act does what a key says to a tenant; nil for a key that says nothing.
func (p *Page) act(t *adminv1.TenantSummary, key string) tea.Cmd {
	what := map[string]string{"s": "suspend", "d": "remove"}[key]
	if what == "" {
		return nil
	}
	if refusal := p.refusal(t); refusal != "" {
		return ui.Refuse(what+" tenant", refusal)
	}
	if key == "d" {
		return p.remove(t)
	}
	return p.suspend(t)
}

func (p *Page) suspend(t *adminv1.TenantSummary) tea.Cmd {
	slug, resume := t.GetTenant().GetSlug(), t.GetTenant().GetState() == "suspended"
	act := p.env.Do(func(ctx context.Context) tea.Msg {
		if _, err := p.env.Client.SuspendTenant(ctx, &adminv1.SuspendTenantRequest{Slug: slug, Resume: resume}); err != nil {
			return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
		}
		if resume {
			return ui.ToastMsg{Text: "tenant " + slug + " is resumed"}
		}
		return ui.ToastMsg{Text: "tenant " + slug + " is suspended"}
	})
	if resume {
		return act
	}
	return p.env.Open(&ui.Confirm{
		Env: p.env, Heading: "Suspend tenant " + slug + "?", Verb: "suspend", Then: act,
		Question: "Its sync services are refused until it is resumed. Nothing is lost.",
	})
}

// remove asks for the slug to be typed: everything of the tenant goes.
func (p *Page) remove(t *adminv1.TenantSummary) tea.Cmd {
	slug := t.GetTenant().GetSlug()
	return p.env.Open(&ui.Named{
		Env: p.env, Heading: "Remove tenant " + slug + "?", Name: slug, Verb: "remove",
		Question: fmt.Sprintf("Its %s, %s, %s, its events and its certificate authority are deleted. This cannot be undone.",
			ui.Plural(t.GetDeviceCount(), "device"), ui.Plural(int64(len(t.GetSources())), "source"), ui.Plural(int64(len(t.GetServices())), "sync service")),
		Then: tea.Batch(ui.Toast("removing tenant "+slug+" …"), p.env.Do(func(ctx context.Context) tea.Msg {
			if _, err := p.env.Client.RemoveTenant(ctx, &adminv1.RemoveTenantRequest{Slug: slug}); err != nil {
				return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
			}
			return ui.ToastMsg{Text: "tenant " + slug + " is removed"}
		})),
	})
}

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	now := p.env.Live
	if !now.Ready {
		return ui.Waiting(p.env, "Reading the tenants …")
	}
	foot := ""
	if len(now.Customers()) == 0 {
		foot = ui.Nothing(p.env, width, "There is no tenant yet but the platform's own.", "Press c to create one.")
		height -= 4
	}
	s := &p.env.Styles
	return p.table.View(s, width, height, len(now.Tenants), func(i int) []ui.Cell {
		t := now.Tenants[i]
		kind := ui.Cell{Text: "tenant"}
		if t.GetTenant().GetIsPlatform() {
			kind = ui.Cell{Text: "platform", Style: s.Accent}
		}
		sync := "yes"
		if !t.GetTenant().GetPlatformSync() {
			sync = "withheld"
		}
		state := t.GetTenant().GetState()
		return []ui.Cell{
			{Text: t.GetTenant().GetSlug()}, kind, {Text: t.GetTenant().GetName()}, {Text: ui.Mark(state) + " " + state, Style: s.State(state)},
			{Text: ui.Count(int64(len(t.GetServices())))}, {Text: ui.Count(int64(len(t.GetSources())))},
			{Text: ui.Count(t.GetDeviceCount())}, {Text: sync},
		}
	}) + foot
}

func (p *Page) detail(slug string) ui.Dialog {
	return &ui.Lines{
		Env:     p.env,
		Heading: "Tenant " + slug, Sheet: true,
		Text: func(width int) []string {
			if t := p.env.Live.Tenant(slug); t != nil {
				return p.record(t, width)
			}
			return []string{"It is there no more."}
		},
		Extra: func() []ui.Key { return p.actions(p.env.Live.Tenant(slug)) },
		On: func(key string) tea.Cmd {
			if t := p.env.Live.Tenant(slug); t != nil {
				return p.act(t, key)
			}
			return nil
		},
	}
}

func (p *Page) record(t *adminv1.TenantSummary, width int) []string {
	s, now := &p.env.Styles, p.env.Now()
	kind, sync := "tenant", "the platform's own sync service may run its sources"
	if t.GetTenant().GetIsPlatform() {
		kind = "the platform's own"
	}
	if !t.GetTenant().GetPlatformSync() {
		sync = "withheld: its own services run its sources"
	}
	state := t.GetTenant().GetState()
	lines := []string{
		s.State(state).Render(ui.Mark(state) + " " + state), ui.Pair(s, "name", t.GetTenant().GetName(), width),
		ui.Pair(s, "kind", kind+", made "+ui.Ago(t.GetTenant().GetCreatedAt(), now), width), ui.Pair(s, "id", t.GetTenant().GetId(), width),
		ui.Pair(s, "platform sync", sync, width), ui.Pair(s, "devices", ui.Count(t.GetDeviceCount()), width),
		"", s.Bold.Render("Sync services"),
	}
	for _, service := range t.GetServices() {
		state := service.GetStatus()
		lines = append(lines, s.State(state).Render(ui.Mark(state)+" "+ui.Fit(state, 9))+" "+
			ui.Fit(ui.Clean(service.GetName()), max(min(width-40, 40), 8))+" "+ui.Ago(service.GetLastHeartbeatAt(), now))
	}
	if len(t.GetServices()) == 0 {
		lines = append(lines, s.Dim.Render("none: page 2, key a adds one"))
	}
	lines = append(lines, "", s.Bold.Render("Sources"))
	for _, source := range t.GetSources() {
		result := live.Result(source)
		word := result
		if word == "" {
			word = "not run"
		}
		lines = append(lines, s.State(result).Render(ui.Mark(result)+" "+ui.Fit(word, 9))+" "+
			ui.Fit(ui.Clean(source.GetSpec().GetName()), max(min(width-40, 40), 8))+" "+ui.Plural(source.GetLastDeviceCount(), "device"))
	}
	if len(t.GetSources()) == 0 {
		lines = append(lines, s.Dim.Render("none: page 2, key n adds one"))
	}
	return lines
}
