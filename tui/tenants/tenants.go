// Package tenants is the page of tenants: what each has, making one, suspending
// and resuming it.
package tenants

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
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
		{Title: "TENANT", Share: 1}, {Title: "NAME", Share: 1, Level: 1}, {Title: "STATE", Width: 11},
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
	suspend := ui.Key{Keys: "s", Does: "suspend"}
	if t := p.current(); t == nil || t.GetTenant().GetIsPlatform() {
		suspend.Off = true
	} else if t.GetTenant().GetState() == "suspended" {
		suspend.Does = "resume"
	}
	return []ui.Key{{Keys: "enter", Does: "details"}, {Keys: "c", Does: "create tenant", Off: p.env.Tenant != ""}, suspend}
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
		if p.env.Tenant == "" {
			return ui.Open(newCreate(p.env))
		}
	case "s":
		return p.suspend()
	case "enter":
		if t := p.current(); t != nil {
			return ui.Open(p.detail(t.GetTenant().GetSlug()))
		}
	default:
		p.table.Update(msg, len(p.env.Live.Tenants))
	}
	return nil
}

func (p *Page) suspend() tea.Cmd {
	t := p.current()
	if t == nil || t.GetTenant().GetIsPlatform() {
		return nil
	}
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
	return ui.Open(&ui.Confirm{
		Env: p.env, Verb: "suspend", Then: act,
		Question: fmt.Sprintf("Suspend tenant %s? Its sync services are refused until it is resumed.", slug),
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
		slug := t.GetTenant().GetSlug()
		if t.GetTenant().GetIsPlatform() {
			slug += " (platform)"
		}
		sync := "yes"
		if !t.GetTenant().GetPlatformSync() {
			sync = "withheld"
		}
		state := t.GetTenant().GetState()
		return []ui.Cell{
			{Text: slug}, {Text: t.GetTenant().GetName()}, {Text: ui.Mark(state) + " " + state, Style: s.State(state)},
			{Text: ui.Count(int64(len(t.GetServices())))}, {Text: ui.Count(int64(len(t.GetSources())))},
			{Text: ui.Count(t.GetDeviceCount())}, {Text: sync},
		}
	}) + foot
}

func (p *Page) detail(slug string) ui.Dialog {
	s := &p.env.Styles
	return &ui.Lines{Heading: "Tenant " + slug, Text: func(width int) []string {
		t := p.env.Live.Tenant(slug)
		if t == nil {
			return []string{"It is there no more."}
		}
		kind := "tenant"
		if t.GetTenant().GetIsPlatform() {
			kind = "the platform's own"
		}
		lines := []string{
			ui.Pair(s, "name", t.GetTenant().GetName(), width), ui.Pair(s, "kind", kind, width),
			ui.Pair(s, "state", t.GetTenant().GetState(), width), ui.Pair(s, "id", t.GetTenant().GetId(), width),
			ui.Pair(s, "devices", ui.Count(t.GetDeviceCount()), width), "", s.Bold.Render("Sync services"),
		}
		for _, service := range t.GetServices() {
			state := service.GetStatus()
			lines = append(lines, s.State(state).Render(ui.Mark(state)+" "+ui.Fit(state, 9))+" "+ui.Cut(ui.Clean(service.GetName()), width-13))
		}
		lines = append(lines, "", s.Bold.Render("Sources"))
		for _, source := range t.GetSources() {
			result := source.GetLastSyncResult()
			lines = append(lines, s.State(result).Render(ui.Mark(result)+" "+ui.Fit(result, 9))+" "+ui.Cut(ui.Clean(source.GetSpec().GetName()), width-13))
		}
		return lines
	}}
}

// create is the form of a new tenant.
type create struct {
	env  *ui.Env
	form *ui.Form
	busy bool
	err  string
}

type createdMsg struct {
	form *create
	slug string
	err  error
}

func newCreate(env *ui.Env) *create {
	return &create{env: env, form: ui.NewForm(
		ui.Text("slug", "Slug", "", "Lower-case letters, digits and hyphens. It stays for ever: identities carry it."),
		ui.Text("name", "Name", "", "What people call it; may be left empty."),
		ui.Choose("sync", "Platform sync", "yes", "Whether the platform's own sync service may run the tenant's sources.",
			[]ui.Option{{Value: "yes", Label: "allowed"}, {Value: "no", Label: "withheld"}}),
	)}
}

// Title implements ui.Dialog.
func (c *create) Title() string { return "New tenant" }

// Keys implements ui.Dialog.
func (c *create) Keys() []ui.Key {
	return []ui.Key{{Keys: "tab", Does: "next"}, {Keys: "ctrl+s", Does: "create"}, {Keys: "esc", Does: "cancel"}}
}

// Escape implements ui.Dialog.
func (c *create) Escape() bool { return !c.busy }

// Update implements ui.Dialog.
func (c *create) Update(msg tea.Msg) tea.Cmd {
	if done, ok := msg.(createdMsg); ok && done.form == c {
		if c.busy = false; done.err != nil {
			c.err = ui.ErrorText(done.err)
			return nil
		}
		return tea.Sequence(ui.Close, ui.Toast("tenant "+done.slug+" is created"))
	}
	if c.busy || !c.form.Update(msg) {
		return nil
	}
	c.busy, c.err = true, ""
	request := &adminv1.CreateTenantRequest{
		Slug: c.form.Value("slug"), Name: c.form.Value("name"), NoPlatformSync: c.form.Value("sync") == "no",
	}
	return c.env.Do(func(ctx context.Context) tea.Msg {
		_, err := c.env.Client.CreateTenant(ctx, request)
		return createdMsg{c, request.GetSlug(), err}
	})
}

// View implements ui.Dialog.
func (c *create) View(width, height int) string {
	text := c.form.View(&c.env.Styles, width, height-2)
	if c.busy {
		text += "\n\n" + c.env.Styles.Dim.Render("Creating …")
	} else if c.err != "" {
		for _, line := range ui.Wrap("✗ "+c.err, width) {
			text += "\n" + c.env.Styles.Bad.Render(line)
		}
	}
	return text
}
