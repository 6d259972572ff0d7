// Package overview is the first page: what there is and how it does, in
// numbers, the ingest rate, what needs somebody, and the latest events.
package overview

import (
	"fmt"
	"slices"
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
	lines = append(lines, p.rate(*now, width))
	lines = append(lines, p.advice(*now, width)...)
	lines = append(lines, p.attention(*now, width, max((height-len(lines)-4)/2, 1))...)
	lines = append(lines, "", p.env.Styles.Bold.Render(" Latest events"))
	room := height - len(lines)
	latest := now.Events[max(0, len(now.Events)-max(room, 0)):]
	if len(latest) == 0 {
		lines = append(lines, p.env.Styles.Dim.Render(" none yet"))
	}
	for i := len(latest) - 1; i >= 0; i-- {
		lines = append(lines, " "+events.Line(p.env, latest[i], width-2))
	}
	return strings.Join(lines, "\n")
}

// part is a number with what it counts; one of none is left out.
type part struct {
	style lipgloss.Style
	mark  string
	n     int
	word  string
}

const labels = 15

func (p *Page) row(width int, label, total string, parts ...part) string {
	s := &p.env.Styles
	line := " " + s.Label.Render(ui.Fit(label, labels)) + s.Bold.Render(total) + strings.Repeat(" ", max(8-len(total), 0))
	for _, one := range parts {
		if one.n > 0 {
			line += "  " + one.style.Render(fmt.Sprintf("%s %s %s", one.mark, ui.Count(int64(one.n)), one.word))
		}
	}
	return ui.Cut(strings.TrimRight(line, " "), width)
}

func (p *Page) counts(t live.Totals, width int) []string {
	s := &p.env.Styles
	rows := []string{}
	if p.env.Tenant == "" {
		rows = append(rows, p.row(width, "Tenants", ui.Count(int64(t.Tenants)), part{s.Warn, "◐", t.Suspended, "suspended"}))
	}
	return append(rows,
		p.row(width, "Sync services", ui.Count(int64(t.Services)), part{s.Good, "●", t.Online, "online"},
			part{s.Warn, "◐", t.Degraded, "degraded"}, part{s.Bad, "○", t.Offline, "offline"}, part{s.Dim, "·", t.Unseen, "never seen"}),
		p.row(width, "Sources", ui.Count(int64(t.Sources)), part{s.Good, "●", t.Succeeded, "success"}, part{s.Warn, "◐", t.Partial, "partial"},
			part{s.Bad, "○", t.Failed, "failed"}, part{s.Dim, "·", t.Unrun, "not run"}, part{s.Warn, "◐", t.Disabled, "disabled"}),
		p.row(width, "Devices", ui.Count(t.Devices)),
	)
}

func (p *Page) rate(now live.Snapshot, width int) string {
	s := &p.env.Styles
	current := 0.0
	if n := len(now.Rates); n > 0 {
		current = now.Rates[n-1]
	}
	peak := ""
	if most := slices.Max(append([]float64{0}, now.Rates...)); most > 0 {
		peak = "  peak " + ui.Count(int64(most)) + "/s"
	}
	line := " " + s.Label.Render(ui.Fit("Ingest", labels)) + s.Bold.Render(ui.Fit(ui.Count(int64(current))+"/s", 10))
	room := max(min(width-labels-12-len(peak), live.KeepRates), 1)
	return ui.Cut(line+s.Accent.Render(ui.Sparkline(now.Rates, room))+s.Dim.Render(peak), width)
}

// advice is what to do next on a platform that has little.
func (p *Page) advice(now live.Snapshot, width int) []string {
	t := now.Totals()
	say := ""
	switch {
	case t.Tenants == 0 && p.env.RefusalOfTenants() == "":
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

// attention is what somebody should look at, the worst first, in at most so many
// lines.
func (p *Page) attention(now live.Snapshot, width, most int) []string {
	s := &p.env.Styles
	concerns := p.concerns(now)
	if len(concerns) == 0 {
		return nil
	}
	lines := []string{"", s.Bold.Render(" Needs attention")}
	for i, concern := range concerns {
		if i == most-1 && len(concerns) > most {
			return append(lines, s.Dim.Render(ui.Cut(fmt.Sprintf(" … and %d more", len(concerns)-i), width)))
		}
		style, mark := s.Warn, "!"
		if concern.bad {
			style, mark = s.Bad, "✗"
		}
		lines = append(lines, " "+style.Render(mark)+" "+ui.Cut(ui.Clean(concern.text), width-4))
	}
	return lines
}

type concern struct {
	bad  bool
	text string
}

// soon is how long before its end a certificate is worth a word: they are
// renewed long before.
const soon = 3 * 24

func (p *Page) concerns(now live.Snapshot) []concern {
	var bad, warn []concern
	for _, tenant := range now.Tenants {
		for _, one := range tenant.GetServices() {
			name := one.GetName() + " of tenant " + one.GetTenant()
			if one.GetState() != "active" || ui.TimeOf(one.GetFirstHelloAt()).IsZero() {
				continue
			}
			if one.GetStatus() == "offline" {
				bad = append(bad, concern{true, "sync service " + name + " is offline: last heard of " + ui.Ago(one.GetLastHeartbeatAt(), p.env.Now())})
			}
			if end := ui.TimeOf(one.GetCertExpiresAt()); !end.IsZero() && end.Sub(p.env.Now()).Hours() < soon {
				warn = append(warn, concern{false, "certificate of sync service " + name + " ends: " + ui.Until(one.GetCertExpiresAt(), p.env.Now())})
			}
		}
		for _, one := range tenant.GetSources() {
			name := one.GetTenant() + "/" + one.GetSpec().GetName()
			if one.GetEnabled() && one.GetConsecutiveFailures() > 0 {
				bad = append(bad, concern{true, fmt.Sprintf("source %s failed %s: %s", name, times(one.GetConsecutiveFailures()), one.GetLastErrorMessage())})
			}
			if n := one.GetHeldRetractions(); n > 0 {
				warn = append(warn, concern{false, fmt.Sprintf("source %s holds %s: page 2, key h", name, ui.Plural(n, "retraction"))})
			}
		}
	}
	return append(bad, warn...)
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", n)
}
