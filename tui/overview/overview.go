// Package overview is the first page: what there is and how it does, in
// numbers, the ingest rate, and the latest events.
package overview

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"edgesync/tui/events"
	"edgesync/tui/live"
	"edgesync/tui/ui"
)

// Page is the overview.
type Page struct{ env *ui.Env }

// New makes the page.
func New(env *ui.Env) *Page { return &Page{env} }

// Name implements ui.Page.
func (p *Page) Name() string { return "Overview" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return false }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	return []ui.Key{{Keys: "enter", Does: "events"}, {Keys: "tab", Does: "next page"}}
}

// Update implements ui.Page.
func (p *Page) Update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok && key.String() == "enter" {
		return func() tea.Msg { return ui.GotoMsg{Page: "Events"} }
	}
	return nil
}

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	now := &p.env.Live
	if !now.Ready {
		return ui.Waiting(p.env, "Reading how the platform stands …")
	}
	lines := p.counts(now.Totals(), width)
	lines = append(lines, p.rate(*now, width)...)
	lines = append(lines, p.advice(*now, width)...)
	lines = append(lines, "", p.env.Styles.Bold.Render(" Latest events"))
	room := height - len(lines)
	latest := now.Events[max(0, len(now.Events)-max(room, 0)):]
	if len(latest) == 0 {
		lines = append(lines, p.env.Styles.Dim.Render("   none yet"))
	}
	for i := len(latest) - 1; i >= 0; i-- {
		lines = append(lines, " "+events.Line(p.env, latest[i], width-2))
	}
	return strings.Join(lines, "\n")
}

func (p *Page) counts(t live.Totals, width int) []string {
	s := &p.env.Styles
	part := func(style lipgloss.Style, mark string, n int, word string) string {
		text := fmt.Sprintf("%s %d %s", mark, n, word)
		if n == 0 {
			return s.Dim.Render(text)
		}
		return style.Render(text)
	}
	row := func(label, total string, parts ...string) string {
		return ui.Cut(" "+s.Label.Render(ui.Fit(label, 14))+s.Bold.Render(ui.Fit(total, 12))+strings.Join(parts, "  "), width)
	}
	tenants := []string{}
	if t.Suspended > 0 {
		tenants = append(tenants, part(s.Warn, "◐", t.Suspended, "suspended"))
	}
	return []string{
		row("Tenants", ui.Count(int64(t.Tenants)), tenants...),
		row("Sync services", ui.Count(int64(t.Services)),
			part(s.Good, "●", t.Online, "online"), part(s.Warn, "◐", t.Degraded, "degraded"), part(s.Bad, "○", t.Offline, "offline")),
		row("Sources", ui.Count(int64(t.Sources)),
			part(s.Good, "●", t.Succeeded, "success"), part(s.Warn, "◐", t.Partial, "partial"),
			part(s.Bad, "○", t.Failed, "failed"), part(s.Plain, "·", t.Unrun, "not run")),
		row("Devices", ui.Count(t.Devices)),
	}
}

func (p *Page) rate(now live.Snapshot, width int) []string {
	s := &p.env.Styles
	current := 0.0
	if n := len(now.Rates); n > 0 {
		current = now.Rates[n-1]
	}
	line := " " + s.Label.Render(ui.Fit("Ingest", 14)) + s.Bold.Render(ui.Fit(ui.Count(int64(current))+"/s", 12))
	return []string{line + s.Accent.Render(ui.Sparkline(now.Rates, max(min(width-30, live.KeepRates), 1)))}
}

// advice is what to do next on a platform that has little.
func (p *Page) advice(now live.Snapshot, width int) []string {
	t := now.Totals()
	say := ""
	switch {
	case t.Tenants == 0:
		say = "There is no tenant yet. Make one: page 6, key c."
	case len(now.Sources()) == 0 && !anyAvailable(now):
		say = "There is no edge sync service yet. Add one: page 2, key a."
	case len(now.Sources()) == 0:
		say = "There is no source yet. Add one: page 2, key n."
	default:
		return nil
	}
	return []string{"", p.env.Styles.Accent.Render(ui.Cut(" → "+say, width))}
}

func anyAvailable(now live.Snapshot) bool {
	for _, tenant := range now.Customers() {
		if len(now.Available(tenant.GetTenant().GetSlug())) > 0 {
			return true
		}
	}
	return false
}
