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
	"edgesync/tui/live"
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
		{Title: "PARTITION", Width: 10, Level: 2}, {Title: "STATE", Width: 10, Level: 1}, {Title: "LAST SYNC", Width: 9}, {Title: "RESULT", Width: 10},
		{Title: "DEVICES", Width: 9, Level: 1, Right: true},
	}}}
}

// Name implements ui.Page.
func (p *Page) Name() string { return "Integrations" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return p.typing }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	if p.typing {
		return []ui.Key{{Keys: "↑↓", Does: "move"}, {Keys: "enter", Does: "keep the search"}, {Keys: "esc", Does: "clear it"}}
	}
	one := p.current()
	keys := []ui.Key{
		{Keys: "n", Does: "New Source", Off: p.refusal() != ""}, {Keys: "a", Does: "Add Edge Sync Service", Off: p.env.Refusal(ui.Operator) != ""},
		{Keys: "enter", Does: "details", Off: one == nil},
	}
	keys = append(keys, p.actions(one)...)
	held := "held retractions"
	if n := p.held(); n > 0 {
		held += fmt.Sprintf(" (%d)", n)
	}
	return append(keys, ui.Key{Keys: "h", Does: held}, ui.Key{Keys: "/", Does: "search", Off: len(p.env.Live.Sources()) == 0})
}

// actions are what can be done to a source.
func (p *Page) actions(one *adminv1.Source) []ui.Key {
	none := one == nil || p.env.Refusal(ui.Operator) != ""
	toggle := ui.Key{Keys: "space", Does: "disable", Off: none}
	if one != nil && !one.GetEnabled() {
		toggle.Does = "enable"
	}
	return []ui.Key{
		{Keys: "e", Does: "edit", Off: none}, {Keys: "t", Does: "test", Off: none},
		{Keys: "S", Does: "sync now", Off: none || !one.GetEnabled()}, toggle, {Keys: "d", Does: "remove", Off: none},
	}
}

// held is how many sources hold retractions for an operator.
func (p *Page) held() int {
	n := 0
	for _, source := range p.env.Live.Sources() {
		if source.GetHeldRetractions() > 0 {
			n++
		}
	}
	return n
}

const noService = "no sync service exists to run it: add one first"

// refusal is why no source can be added now, or empty.
func (p *Page) refusal() string {
	if !p.env.Live.Ready {
		return "waiting for the platform"
	}
	if refusal := p.env.Refusal(ui.Operator); refusal != "" {
		return refusal
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
	return noService
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
			return p.add()
		}
		p.table.Top = p.head()
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
		return p.typed(msg)
	}
	switch key {
	case "n":
		return p.newSource()
	case "a":
		return p.add()
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
	if one := p.current(); one != nil {
		if key == "enter" {
			return p.env.Open(p.detail(one))
		}
		if cmd := p.act(one, key); cmd != nil {
			return cmd
		}
	}
	p.table.Update(msg, len(p.shown))
	return nil
}

// typed takes a key of the search.
func (p *Page) typed(msg tea.KeyPressMsg) tea.Cmd {
	switch msg.String() {
	case "esc":
		p.search.Fields[0].Set("")
		p.typing = false
	case "enter":
		p.typing = false
	case "up", "down", "pgup", "pgdown":
		p.table.Update(msg, len(p.shown))
		return nil
	default:
		p.search.Update(msg)
	}
	p.filter()
	return nil
}

// act does what a key says to a source; nil for a key that says nothing.
func (p *Page) act(one *adminv1.Source, key string) tea.Cmd {
	what := map[string]string{"e": "edit", "t": "test", "S": "sync now", "space": "change", "d": "remove"}[key]
	if what == "" {
		return nil
	}
	if refusal := p.env.Refusal(ui.Operator); refusal != "" {
		return ui.Refuse(what, refusal)
	}
	switch key {
	case "e":
		return p.env.Open(newEdit(p.env, one))
	case "t":
		return commands.NewTest(p.env, one.GetSpec().GetName(), &adminv1.TestSourceRequest{Tenant: one.GetTenant(), Source: one.GetId()})
	case "S":
		if !one.GetEnabled() {
			return ui.Refuse(what, "the source is disabled: space enables it")
		}
		return commands.NewSync(p.env, "Sync of source "+one.GetSpec().GetName(), &adminv1.SyncNowRequest{Tenant: one.GetTenant(), Source: one.GetId()})
	case "space":
		return p.toggle(one)
	}
	return p.remove(one)
}

func (p *Page) add() tea.Cmd {
	if refusal := p.env.Refusal(ui.Operator); refusal != "" {
		return ui.Refuse("Add Edge Sync Service", refusal)
	}
	return p.addService(p.tenant())
}

func (p *Page) newSource() tea.Cmd {
	if refusal := p.refusal(); refusal != "" {
		return ui.Refuse("New Source", refusal)
	}
	return p.env.Open(NewSource(p.env, p.tenant(), ""))
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
	return p.env.Open(&ui.Confirm{
		Env: p.env, Verb: "remove", Heading: fmt.Sprintf("Remove source %s of tenant %s?", name, one.GetTenant()),
		Question: "It is read no more. The devices it brought stay.",
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
	lines := 3
	if p.searching() {
		lines++
	}
	if p.held() > 0 {
		lines++
	}
	return lines
}

func (p *Page) searching() bool { return p.typing || p.search.Value("search") != "" }

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	if !p.env.Live.Ready {
		return ui.Waiting(p.env, "Reading the sources …")
	}
	lines := append(p.additions(width), "")
	if p.searching() {
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
		if !p.table.Shows("STATE", width) {
			result = live.Result(one)
		}
		said := result
		switch {
		case one.GetHeldRetractions() > 0:
			result, said = "held", "held"
		case said == "":
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

// additions are what can be added: a source, and right under it the sync service
// that one needs first.
func (p *Page) additions(width int) []string {
	s := &p.env.Styles
	first := " " + s.Key.Render("n") + "  New Source"
	second := " " + s.Key.Render("a") + "  Add Edge Sync Service"
	switch refusal := p.refusal(); {
	case p.env.Refusal(ui.Operator) != "":
		first = " " + s.Disabled.Render("n  New Source") + s.Warn.Render("  "+refusal)
		second = " " + s.Disabled.Render("a  Add Edge Sync Service")
	case refusal != "":
		first = " " + s.Disabled.Render("n  New Source") + s.Warn.Render("  disabled: "+refusal)
		if refusal == noService {
			second += s.Accent.Render("  ← start here")
		}
	}
	lines := []string{ui.Cut(first, width), ui.Cut(second, width)}
	if n := p.held(); n > 0 {
		text := "  1 source names far fewer devices than before: what it left out waits for you"
		if n > 1 {
			text = fmt.Sprintf("  %d sources name far fewer devices than before: what they left out waits for you", n)
		}
		lines = append(lines, ui.Cut(" "+s.Key.Render("h")+s.Warn.Render(text), width))
	}
	return lines
}
