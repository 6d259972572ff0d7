// Package integrations is the page of sources: what each reads, which sync
// service runs it and what came of its last run; adding, changing, enabling and
// removing them.
package integrations

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/commands"
	"edgesync/tui/ui"
)

// Page is the list of sources, with what can be added above it.
type Page struct {
	env        *ui.Env
	table      ui.Table
	addService func(tenant string) tea.Cmd
	search     *ui.Form
	typing     bool
	shown      []*adminv1.Source
}

// New makes the page. addService opens the onboarding wizard.
func New(env *ui.Env, addService func(tenant string) tea.Cmd) *Page {
	return &Page{env: env, addService: addService, search: ui.NewForm(ui.Text("search", "Search", "", "")), table: ui.Table{Columns: []ui.Column{
		{Title: "SOURCE", Share: 2}, {Title: "TYPE", Width: 6}, {Title: "TENANT", Share: 1}, {Title: "SERVICE", Share: 1},
		{Title: "PARTITION", Width: 10, Level: 2}, {Title: "STATE", Width: 10, Level: 1}, {Title: "LAST SYNC", Width: 9}, {Title: "RESULT", Width: 9},
		{Title: "DEVICES", Width: 9, Level: 1, Right: true},
	}}}
}

// Name implements ui.Page.
func (p *Page) Name() string { return "Integrations" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return p.typing }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	one := p.current()
	toggle := ui.Key{Keys: "space", Does: "disable", Off: one == nil}
	if one != nil && !one.GetEnabled() {
		toggle.Does = "enable"
	}
	return []ui.Key{
		{Keys: "n", Does: "New Source", Off: p.refusal() != ""}, {Keys: "a", Does: "Add Edge Sync Service"},
		{Keys: "enter", Does: "details", Off: one == nil}, {Keys: "e", Does: "edit", Off: one == nil},
		{Keys: "t", Does: "test", Off: one == nil}, {Keys: "S", Does: "sync now", Off: one == nil || !one.GetEnabled()},
		{Keys: "h", Does: "held retractions"}, toggle, {Keys: "d", Does: "remove", Off: one == nil}, {Keys: "/", Does: "search", Off: len(p.env.Live.Sources()) == 0},
	}
}

// refusal is why no source can be added now, or empty.
func (p *Page) refusal() string {
	if !p.env.Live.Ready {
		return "waiting for the platform"
	}
	tenants := p.env.Live.Customers()
	if len(tenants) == 0 {
		return "there is no tenant: create one on page 6"
	}
	for _, tenant := range tenants {
		if len(p.env.Live.Available(tenant.GetTenant().GetSlug())) > 0 {
			return ""
		}
	}
	return "no sync service exists to run it: add one first"
}

func (p *Page) current() *adminv1.Source {
	if p.table.Cursor >= len(p.shown) {
		return nil
	}
	return p.shown[p.table.Cursor]
}

func (p *Page) tenant() string {
	if p.env.Tenant != "" {
		return p.env.Tenant
	}
	if one := p.current(); one != nil {
		return one.GetTenant()
	}
	return ""
}

// Update implements ui.Page.
func (p *Page) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ui.LiveMsg:
		p.filter()
		return nil
	case tea.KeyPressMsg:
		return p.press(msg)
	case tea.PasteMsg:
		if p.typing {
			p.search.Update(msg)
			p.filter()
		}
		return nil
	case ui.ClickMsg:
		switch msg.Y {
		case 0:
			return p.newSource()
		case 1:
			return p.addService(p.tenant())
		}
		msg.Y -= p.head()
		p.table.Update(msg, len(p.shown))
		return nil
	}
	p.table.Update(msg, len(p.shown))
	return nil
}

func (p *Page) filter() {
	before := p.current()
	search := strings.ToLower(p.search.Value("search"))
	p.shown = slices.DeleteFunc(p.env.Live.Sources(), func(s *adminv1.Source) bool {
		text := strings.ToLower(s.GetSpec().GetName() + "\n" + s.GetTenant() + "\n" + s.GetSpec().GetSourceType() + "\n" + s.GetSyncServiceName() + "\n" + s.GetLastSyncResult())
		return search != "" && !strings.Contains(text, search)
	})
	if i := slices.IndexFunc(p.shown, func(s *adminv1.Source) bool { return s.GetId() == before.GetId() }); before != nil && i >= 0 {
		p.table.Cursor = i
	}
	p.table.Clamp(len(p.shown))
}

func (p *Page) press(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.String()
	if p.typing {
		switch key {
		case "esc":
			p.search.Fields[0].Set("")
			p.typing = false
		case "enter":
			p.typing = false
		default:
			p.search.Update(msg)
		}
		p.filter()
		return nil
	}
	one := p.current()
	switch key {
	case "n":
		return p.newSource()
	case "a":
		return p.addService(p.tenant())
	case "h":
		return commands.NewRetractions(p.env)
	case "/":
		p.typing = true
		return nil
	case "esc":
		p.search.Fields[0].Set("")
		p.filter()
		return nil
	}
	if one == nil {
		return nil
	}
	switch key {
	case "enter":
		return ui.Open(p.detail(one.GetId()))
	case "e":
		return ui.Open(newEdit(p.env, one))
	case "t":
		return commands.NewTest(p.env, one)
	case "S":
		if one.GetEnabled() {
			return commands.NewSync(p.env, "Sync of source "+one.GetSpec().GetName(), &adminv1.SyncNowRequest{Tenant: one.GetTenant(), Source: one.GetId()})
		}
	case "space":
		return p.toggle(one)
	case "d":
		return p.remove(one)
	}
	p.table.Update(msg, len(p.shown))
	return nil
}

func (p *Page) newSource() tea.Cmd {
	if refusal := p.refusal(); refusal != "" {
		return func() tea.Msg { return ui.ToastMsg{Text: "New Source: " + refusal, Bad: true} }
	}
	return ui.Open(NewSource(p.env, p.tenant(), ""))
}

func (p *Page) toggle(one *adminv1.Source) tea.Cmd {
	name, enable := one.GetSpec().GetName(), !one.GetEnabled()
	return p.env.Do(func(ctx context.Context) tea.Msg {
		_, err := p.env.Client.SetSourceEnabled(ctx, &adminv1.SetSourceEnabledRequest{Tenant: one.GetTenant(), Source: one.GetId(), Enabled: enable})
		switch {
		case err != nil:
			return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
		case enable:
			return ui.ToastMsg{Text: "source " + name + " is enabled"}
		}
		return ui.ToastMsg{Text: "source " + name + " is disabled"}
	})
}

func (p *Page) remove(one *adminv1.Source) tea.Cmd {
	name := one.GetSpec().GetName()
	return ui.Open(&ui.Confirm{
		Env: p.env, Verb: "remove",
		Question: fmt.Sprintf("Remove source %s of tenant %s? It is read no more. The devices it brought stay.", name, one.GetTenant()),
		Then: p.env.Do(func(ctx context.Context) tea.Msg {
			if _, err := p.env.Client.RemoveSource(ctx, &adminv1.RemoveSourceRequest{Tenant: one.GetTenant(), Source: one.GetId()}); err != nil {
				return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
			}
			return ui.ToastMsg{Text: "source " + name + " is removed"}
		}),
	})
}

// head is how many lines stand above the table.
func (p *Page) head() int {
	if p.typing || p.search.Value("search") != "" {
		return 4
	}
	return 3
}

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	if !p.env.Live.Ready {
		return ui.Waiting(p.env, "Reading the sources …")
	}
	lines := append(p.actions(width), "")
	if p.head() == 4 {
		lines = append(lines, ui.SearchLine(p.env, p.search, p.typing, width))
	}
	head := strings.Join(lines, "\n") + "\n"
	if len(p.shown) == 0 {
		if len(p.env.Live.Sources()) > 0 {
			return head + ui.Nothing(p.env, width, "No source matches.", "Esc shows all again.")
		}
		return head + ui.Nothing(p.env, width, "There is no source yet.",
			"A source is an Armis or a NetBox that a sync service reads. First a sync service, then its source, then devices.")
	}
	s, now := &p.env.Styles, p.env.Now()
	return head + p.table.View(s, width, height-p.head(), len(p.shown), func(i int) []ui.Cell {
		one := p.shown[i]
		result := one.GetLastSyncResult()
		state := "enabled"
		if !one.GetEnabled() {
			state = "disabled"
		}
		said := result
		if said == "" {
			said = "not run"
		}
		return []ui.Cell{
			{Text: one.GetSpec().GetName()}, {Text: one.GetSpec().GetSourceType()}, {Text: one.GetTenant()},
			{Text: one.GetSyncServiceName()}, {Text: one.GetSpec().GetPartition()},
			{Text: ui.Mark(state) + " " + state, Style: s.State(state)}, {Text: ui.Ago(one.GetLastSyncAt(), now)},
			{Text: ui.Mark(result) + " " + said, Style: s.State(result)}, {Text: ui.Count(one.GetLastDeviceCount())},
		}
	})
}

// actions are what can be added: a source, and right under it the sync service
// that one needs first.
func (p *Page) actions(width int) []string {
	s := &p.env.Styles
	first := " " + s.Key.Render("n") + "  New Source"
	if refusal := p.refusal(); refusal != "" {
		first = " " + s.Disabled.Render("n  New Source") + s.Warn.Render("  disabled: "+refusal)
	}
	second := " " + s.Key.Render("a") + "  Add Edge Sync Service"
	if p.refusal() != "" {
		second += s.Accent.Render("  ← start here")
	}
	return []string{ui.Cut(first, width), ui.Cut(second, width)}
}
