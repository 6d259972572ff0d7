package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"edgesync/tui/ui"
)

// Where things stand on the screen, counted from the top.
const (
	tabLine  = 1
	bodyLine = 3
	// around is what is not body: header, tabs and rule above, status and keys
	// below.
	around = 5
)

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	v.MouseMode = tea.MouseModeCellMotion
	v.WindowTitle = "edgesync"
	return v
}

func (m *model) screen() string {
	if m.width == 0 {
		return ""
	}
	if m.width < ui.MinWidth || m.height < ui.MinHeight {
		return fmt.Sprintf("This window is %d × %d.\nMake it %d × %d or larger.\nCtrl-C ends.", m.width, m.height, ui.MinWidth, ui.MinHeight)
	}
	s := &m.env.Styles
	body := fill(m.pages[m.active].View(m.width, m.height-around), m.width, m.height-around)
	over := ""
	if len(m.dialogs) > 0 { // Drawn first: its keys follow from what it shows.
		over = m.dialog()
	}
	if m.alone {
		body = fill("", m.width, m.height-around)
	}
	screen := strings.Join([]string{
		m.header(), m.tabs(), s.Dim.Render(strings.Repeat("─", m.width)), body, m.status(), m.keys(),
	}, "\n")
	if len(m.dialogs) == 0 {
		return screen
	}
	x, y := m.dialogCorner()
	return lipgloss.NewCompositor(lipgloss.NewLayer(screen), lipgloss.NewLayer(over).X(x-2).Y(y-1)).Render()
}

// fill makes text exactly height lines, none wider than width.
func fill(text string, width, height int) string {
	lines := strings.Split(text, "\n")
	if len(lines) > height {
		lines = lines[:height]
	}
	for i, line := range lines {
		lines[i] = ui.Cut(line, width)
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return strings.Join(lines, "\n")
}

func (m *model) header() string {
	s := &m.env.Styles
	left := s.Title.Render("edgesync")
	if p := m.env.Live.Platform; p != nil {
		left += "  " + s.Dim.Render(ui.Clean(p.GetTrustDomain()))
	}
	if m.env.Tenant != "" {
		left += "  tenant " + ui.Clean(m.env.Tenant)
	}
	state := s.Dim.Render("connecting …")
	switch live := m.env.Live; {
	case live.Problem != "" && live.Ready:
		state = s.Bad.Render("○ not live: reconnecting")
	case live.Problem != "":
		state = s.Bad.Render("○ not connected")
	case live.Ready && m.unserved():
		state = s.Warn.Render("◐ edgesync serve is not running")
	case live.Ready:
		state = s.Good.Render("● live")
	}
	gap := max(m.width-lipgloss.Width(left)-lipgloss.Width(state)-2, 1)
	return " " + left + strings.Repeat(" ", gap) + state
}

// tabNames are the tabs as wide as the window has room for.
func (m *model) tabNames() []string {
	names, total := make([]string, len(m.pages)), 0
	for i, page := range m.pages {
		names[i] = fmt.Sprintf(" %d %s ", i+1, page.Name())
		total += len(names[i])
	}
	if total <= m.width {
		return names
	}
	for i := range names {
		if i != m.active {
			names[i] = fmt.Sprintf(" %d ", i+1)
		}
	}
	return names
}

func (m *model) tabs() string {
	if m.alone {
		return " Onboard an edge sync service"
	}
	var b strings.Builder
	for i, name := range m.tabNames() {
		if i == m.active {
			b.WriteString(m.env.Styles.ActiveTab.Render(name))
		} else {
			b.WriteString(m.env.Styles.Tab.Render(name))
		}
	}
	return b.String()
}

func (m *model) tabAt(x int) int {
	end := 0
	for i, name := range m.tabNames() {
		if end += len(name); x < end {
			return i
		}
	}
	return -1
}

func (m *model) status() string {
	s := &m.env.Styles
	switch live := m.env.Live; {
	case m.toast.Text != "" && m.toast.Bad:
		return s.Bad.Render(ui.Cut(" ✗ "+ui.Clean(m.toast.Text), m.width))
	case m.toast.Text != "":
		return s.Good.Render(ui.Cut(" ✓ "+ui.Clean(m.toast.Text), m.width))
	case live.Problem != "":
		wait := max(int(live.RetryAt.Sub(m.env.Now()).Seconds()), 0)
		return s.Bad.Render(ui.Cut(fmt.Sprintf(" ✗ %s: trying again in %ds", ui.Clean(live.Problem), wait), m.width))
	}
	return ""
}

func (m *model) keys() string {
	var keys []ui.Key
	if n := len(m.dialogs); n > 0 {
		keys = m.dialogs[n-1].Keys()
	} else {
		if keys = m.pages[m.active].Keys(); !m.pages[m.active].Typing() {
			keys = append(keys, ui.Key{Keys: "?", Does: "help"}, ui.Key{Keys: "q", Does: "quit"})
		}
	}
	return keyLine(&m.env.Styles, keys, m.width)
}

// keyLine draws as many keys as fit. The last two, help and quit, are kept.
func keyLine(s *ui.Styles, keys []ui.Key, width int) string {
	wide := func(k ui.Key) int { return lipgloss.Width(k.Keys) + 1 + lipgloss.Width(k.Does) + 2 }
	total := 1
	for _, k := range keys {
		total += wide(k)
	}
	for drop := len(keys) - 3; total > width && drop >= 0; drop-- {
		total -= wide(keys[drop])
		keys = append(append([]ui.Key{}, keys[:drop]...), keys[drop+1:]...)
	}
	var b strings.Builder
	b.WriteByte(' ')
	for _, k := range keys {
		if k.Off {
			b.WriteString(s.Disabled.Render(k.Keys+" "+k.Does) + "  ")
			continue
		}
		b.WriteString(s.Key.Render(k.Keys) + " " + s.KeyText.Render(k.Does) + "  ")
	}
	return ui.Cut(strings.TrimRight(b.String(), " "), width)
}

// dialogSize is the room inside the top dialog's border.
func (m *model) dialogSize() (width, height int) {
	return min(m.width-4, ui.DialogWidth) - 4, m.height - around - 2
}

// dialogCorner is where the inside of the top dialog begins.
func (m *model) dialogCorner() (x, y int) {
	width, height := m.dialogSize()
	lines := min(strings.Count(m.dialogs[len(m.dialogs)-1].View(width, height-1), "\n")+1, height-1)
	// The title takes a line.
	return (m.width-width-4)/2 + 2, bodyLine + (height-lines-1)/2 + 1
}

func (m *model) dialog() string {
	top := m.dialogs[len(m.dialogs)-1]
	width, height := m.dialogSize()
	s := &m.env.Styles
	text := top.View(width, height-1)
	lines := append([]string{s.Title.Render(ui.Fit(ui.Clean(top.Title()), width))}, strings.Split(text, "\n")...)
	for i, line := range lines {
		line = ui.Cut(line, width)
		lines[i] = line + strings.Repeat(" ", max(width-lipgloss.Width(line), 0))
	}
	return s.Box.Render(strings.Join(lines[:min(len(lines), height)], "\n"))
}

// help lists all keys of the page and those that work everywhere.
func (m *model) help() ui.Dialog {
	s := &m.env.Styles
	page := m.pages[m.active]
	return &ui.Lines{Heading: "Keys of " + page.Name(), Text: func(width int) []string {
		var lines []string
		add := func(k ui.Key) {
			lines = append(lines, s.Key.Render(ui.Fit(k.Keys, 12))+" "+ui.Cut(k.Does, width-13))
		}
		for _, k := range page.Keys() {
			add(k)
		}
		lines = append(lines, "", s.Bold.Render("Everywhere"))
		for _, k := range []ui.Key{
			{Keys: "1 … 6", Does: "go to a page"}, {Keys: "tab ← →", Does: "next or previous page"},
			{Keys: "↑ ↓ pgup …", Does: "move; j and k, g and G do too"}, {Keys: "/", Does: "search, where there is a list"},
			{Keys: "enter", Does: "open"}, {Keys: "esc", Does: "close, or go back"},
			{Keys: "mouse", Does: "click a tab or a row, turn the wheel; hold shift to select text"},
			{Keys: "q ctrl-c", Does: "quit"},
		} {
			add(k)
		}
		return lines
	}}
}
