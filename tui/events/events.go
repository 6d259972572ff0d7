// Package events is the page of what happened: the live tail, filters, and each
// event with its details.
package events

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// Page is the tail of events, newest first.
type Page struct {
	env       *ui.Env
	table     ui.Table
	search    *ui.Form
	typing    bool
	severity  string
	tenant    string
	frozen    []*adminv1.Event
	shown     []*adminv1.Event
	following bool
}

// New makes the page.
func New(env *ui.Env) *Page {
	return &Page{env: env, following: true, search: ui.NewForm(ui.Text("search", "Search", "", "")), table: ui.Table{Columns: []ui.Column{
		{Title: "TIME", Width: 8}, {Title: "", Width: 1}, {Title: "TENANT", Width: 12, Level: 1},
		{Title: "TYPE", Width: 22, Level: 2}, {Title: "EVENT", Share: 4}, {Title: "BY", Width: 14, Level: 3},
	}}}
}

// Name implements ui.Page.
func (p *Page) Name() string { return "Events" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return p.typing }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	if p.typing {
		return []ui.Key{{Keys: "↑↓", Does: "move"}, {Keys: "enter", Does: "keep the search"}, {Keys: "esc", Does: "clear it"}}
	}
	follow := "hold still"
	if !p.following {
		follow = "follow"
	}
	return []ui.Key{
		{Keys: "/", Does: "search"}, {Keys: "s", Does: "severity: " + p.severityName()},
		{Keys: "t", Does: "tenant: " + cmp.Or(ui.Clean(p.tenant), "all"), Off: p.env.Tenant != ""},
		{Keys: "enter", Does: "details", Off: p.current() == nil}, {Keys: "f", Does: follow},
	}
}

func (p *Page) severityName() string {
	if p.severity == "" {
		return "all"
	}
	return p.severity
}

// Update implements ui.Page.
func (p *Page) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ui.LiveMsg:
		before := p.current()
		p.filter()
		p.follow(before)
		return nil
	case tea.KeyPressMsg:
		return p.press(msg)
	case tea.PasteMsg:
		if p.typing {
			p.search.Update(msg)
			p.filter()
		}
		return nil
	case tenantMsg:
		p.tenant = string(msg)
		p.filter()
		return nil
	}
	p.table.Update(msg, len(p.shown))
	return nil
}

// follow keeps the cursor on the event it was on, unless it stands at the top,
// where new events appear.
func (p *Page) follow(before *adminv1.Event) {
	if before == nil || p.table.Cursor == 0 {
		return
	}
	for i, event := range p.shown {
		if event.GetId() == before.GetId() {
			p.table.Cursor = i
			return
		}
	}
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
		case "up", "down", "pgup", "pgdown":
			p.table.Update(msg, len(p.shown))
			return nil
		default:
			p.search.Update(msg)
		}
		p.filter()
		return nil
	}
	switch key {
	case "/":
		p.typing = true
	case "esc":
		p.search.Fields[0].Set("")
		p.severity, p.tenant = "", ""
	case "t":
		return p.chooseTenant()
	case "s":
		levels := []string{"", "warning", "error"}
		p.severity = levels[(slices.Index(levels, p.severity)+1)%len(levels)]
	case "f":
		p.following = !p.following
		p.frozen = p.env.Live.Events
	case "enter":
		if event := p.current(); event != nil {
			return p.env.Open(p.detail(event))
		}
	default:
		p.table.Update(msg, len(p.shown))
		return nil
	}
	p.filter()
	return nil
}

// tenantMsg is the slug of the tenant chosen, empty for all.
type tenantMsg string

func (p *Page) chooseTenant() tea.Cmd {
	if p.env.Tenant != "" {
		return nil
	}
	options := []ui.Option{{Label: "all tenants"}}
	for _, tenant := range p.env.Live.Tenants {
		options = append(options, ui.Option{Value: tenant.GetTenant().GetSlug(), Label: tenant.GetTenant().GetSlug(), Note: tenant.GetTenant().GetName()})
	}
	return p.env.Open(&ui.Choice{Env: p.env, Heading: "Events of which tenant?", Options: options, Pick: func(slug string) tea.Cmd {
		return func() tea.Msg { return tenantMsg(slug) }
	}})
}

func (p *Page) current() *adminv1.Event {
	if p.table.Cursor >= len(p.shown) {
		return nil
	}
	return p.shown[p.table.Cursor]
}

func (p *Page) filter() {
	all := p.env.Live.Events
	if !p.following {
		all = p.frozen
	}
	search := strings.ToLower(p.search.Value("search"))
	p.shown = p.shown[:0:0]
	for i := len(all) - 1; i >= 0; i-- {
		if p.matches(all[i], search) {
			p.shown = append(p.shown, all[i])
		}
	}
	p.table.Clamp(len(p.shown))
}

func (p *Page) matches(e *adminv1.Event, search string) bool {
	if p.severity == "warning" && e.GetSeverity() == "info" || p.severity == "error" && e.GetSeverity() != "error" {
		return false
	}
	if p.tenant != "" && p.tenant != e.GetTenant() {
		return false
	}
	if search == "" {
		return true
	}
	for _, text := range []string{e.GetMessage(), e.GetType(), e.GetTenant(), e.GetActor()} {
		if strings.Contains(strings.ToLower(text), search) {
			return true
		}
	}
	return false
}

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	if !p.env.Live.Ready {
		return ui.Waiting(p.env, "Reading the latest events …")
	}
	head := ""
	if p.typing || p.search.Value("search") != "" {
		head = ui.SearchLine(p.env, p.search, p.typing, width) + "\n"
		height--
	}
	if p.env.Live.Missed {
		head += p.env.Styles.Warn.Render(" Some events came too fast to be shown; `edgesync event list` has them.") + "\n"
		height--
	}
	if !p.following {
		head += p.env.Styles.Accent.Render(" Held still: f follows again") + "\n"
		height--
	}
	if len(p.shown) == 0 {
		return head + ui.Nothing(p.env, width, "No event to show.", "What happens on the platform appears here at once. Esc shows all again.")
	}
	p.table.Top = strings.Count(head, "\n")
	return head + p.table.View(&p.env.Styles, width, height, len(p.shown), func(i int) []ui.Cell {
		e := p.shown[i]
		return []ui.Cell{
			{Text: ui.Stamp(e.GetTime(), p.env.Now())}, p.mark(e),
			{Text: e.GetTenant()}, {Text: e.GetType()}, {Text: e.GetMessage()}, {Text: e.GetActor()},
		}
	})
}

func (p *Page) mark(e *adminv1.Event) ui.Cell { return mark(p.env, e) }

func mark(env *ui.Env, e *adminv1.Event) ui.Cell {
	switch e.GetSeverity() {
	case "error":
		return ui.Cell{Text: "✗", Style: env.Styles.Bad}
	case "warning":
		return ui.Cell{Text: "!", Style: env.Styles.Warn}
	}
	return ui.Cell{Text: "·", Style: env.Styles.Dim}
}

// Line is an event in one line.
func Line(env *ui.Env, e *adminv1.Event, width int) string {
	const tenants = 12
	sign := mark(env, e)
	return env.Styles.Dim.Render(ui.Stamp(e.GetTime(), env.Now())) + " " + sign.Style.Render(sign.Text) + " " +
		env.Styles.Label.Render(ui.Fit(ui.Clean(e.GetTenant()), tenants)) + " " + ui.Cut(ui.Clean(e.GetMessage()), width-tenants-12)
}

func (p *Page) detail(e *adminv1.Event) ui.Dialog {
	return Detail(p.env, e)
}

// Detail is a dialog of one event.
func Detail(env *ui.Env, e *adminv1.Event) ui.Dialog {
	s := &env.Styles
	return &ui.Lines{Env: env, Heading: e.GetType(), Text: func(width int) []string {
		lines := append(ui.Wrap(ui.Clean(e.GetMessage()), width), "")
		for _, pair := range [][2]string{
			{"time", ui.TimeOf(e.GetTime()).Format("2006-01-02 15:04:05.000 MST")}, {"severity", e.GetSeverity()},
			{"tenant", e.GetTenant()}, {"by", e.GetActor()}, {"through", e.GetOrigin()},
			{"service id", e.GetServiceId()}, {"source id", e.GetSourceId()},
		} {
			if pair[1] != "" {
				lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(e.GetDetails())) {
			lines = append(lines, ui.Pair(s, ui.Clean(key), e.GetDetails()[key], width))
		}
		return lines
	}}
}
