package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"edgesync/tui/ui"
)

// Where things stand on the screen, counted from the top.
const (
	tabLine  = 1
	bodyLine = 3
)

// bodyHeight is what the header, the tabs and the rule above and the status and
// the keys below leave.
func (m *model) bodyHeight() int { return m.height - bodyLine - 1 - len(m.keys()) }

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
	n := len(m.dialogs)
	over := ""
	keys := m.keys()
	if n > 0 { // Its keys follow from what it shows, and its room from its keys.
		over = m.dialog(n - 1)
		if again := m.keys(); len(again) != len(keys) {
			over = m.dialog(n - 1)
		}
		keys = m.keys()
	}
	height := m.height - bodyLine - 1 - len(keys)
	body := ""
	switch {
	case n > 0 && m.whole(n-1):
		body = over
	case n > 0:
		body = s.Dim.Render(ansi.Strip(fill(m.behind(n-1, height), m.width, height)))
	default:
		body = m.pages[m.active].View(m.width, height)
	}
	screen := strings.Join(append([]string{
		m.header(), m.tabs(), s.Dim.Render(strings.Repeat("─", m.width)), fill(body, m.width, height), m.status(),
	}, keys...), "\n")
	if n == 0 || m.whole(n-1) {
		return screen
	}
	x, y := m.dialogCorner()
	return lipgloss.NewCompositor(lipgloss.NewLayer(screen), lipgloss.NewLayer(over).X(x-2).Y(y-2)).Render()
}

// whole tells whether a dialog takes the place of the page: a sheet, and in a low
// window any.
func (m *model) whole(n int) bool {
	if m.height < tallWindow {
		return true
	}
	sheet, ok := m.dialogs[n].(ui.Sheet)
	return ok && sheet.Whole()
}

// behind is what stands behind a dialog: a sheet below it, or the page.
func (m *model) behind(n, height int) string {
	for n--; n >= 0; n-- {
		if m.whole(n) {
			return m.dialog(n)
		}
	}
	if m.alone {
		return ""
	}
	return m.pages[m.active].View(m.width, height)
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
		left += "  tenant " + s.Bold.Render(ui.Clean(m.env.Tenant))
	}
	if caller := m.env.Live.Caller; caller != nil {
		left += "  " + s.Dim.Render(ui.Clean(caller.GetName())+", "+ui.Clean(caller.GetRole()))
	}
	state := s.Dim.Render("connecting …")
	switch live := m.env.Live; {
	case live.Problem != "" && live.Ready:
		state = s.Bad.Render("○ not live: reconnecting")
	case live.Problem != "":
		state = s.Bad.Render("○ not connected")
	case live.Ready && m.env.Unserved():
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

// tallWindow is from how many lines on the keys may take two.
const tallWindow = 20

// keys are the lines of keys at the bottom.
func (m *model) keys() []string {
	var keys []ui.Key
	if n := len(m.dialogs); n > 0 {
		keys = m.dialogs[n-1].Keys()
	} else if keys = m.pages[m.active].Keys(); !m.pages[m.active].Typing() {
		keys = append(keys, ui.Key{Keys: "?", Does: "help"}, ui.Key{Keys: "q", Does: "quit"})
	}
	lines := 1
	if m.height >= tallWindow {
		lines = 2
	}
	return keyLines(&m.env.Styles, keys, m.width, lines)
}

// keyLines draws as many keys as fit into the lines there may be. The last two,
// help and quit, are kept; that there are more is said.
func keyLines(s *ui.Styles, keys []ui.Key, width, most int) []string {
	rows := layKeys(keys, width)
	for drop := len(keys) - 3; len(rows) > most && drop >= 0; drop-- {
		keys = append(append([]ui.Key{}, keys[:drop]...), keys[drop+1:]...)
		if i := len(keys) - 2; i >= 0 && keys[i].Keys == "?" {
			keys[i].Does = "more keys"
		}
		rows = layKeys(keys, width)
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		b.WriteByte(' ')
		for _, k := range row {
			if k.Off {
				b.WriteString(s.Disabled.Render(k.Keys+" "+k.Does) + "  ")
				continue
			}
			b.WriteString(s.Key.Render(k.Keys) + " " + s.KeyText.Render(k.Does) + "  ")
		}
		lines[i] = ui.Cut(strings.TrimRight(b.String(), " "), width)
	}
	return lines
}

// layKeys breaks keys into lines.
func layKeys(keys []ui.Key, width int) [][]ui.Key {
	rows := [][]ui.Key{nil}
	used := 1
	for _, k := range keys {
		wide := lipgloss.Width(k.Keys) + 1 + lipgloss.Width(k.Does)
		if used+wide > width && len(rows[len(rows)-1]) > 0 {
			rows, used = append(rows, nil), 1
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], k)
		used += wide + 2
	}
	return rows
}

// dialogSize is the room inside a dialog: of a sheet the body but for its title,
// of one before the page that inside its border.
func (m *model) dialogSize(n int) (width, height int) {
	height = m.bodyHeight()
	if m.whole(n) {
		return m.width - 2, height - 1
	}
	width = ui.DialogWidth
	if m.width < ui.DialogWidth+8 { // Nothing is left of the page to its sides.
		width = m.width
	}
	return width - 4, height - 3
}

// dialogCorner is where the text of the top dialog begins.
func (m *model) dialogCorner() (x, y int) {
	n := len(m.dialogs) - 1
	width, height := m.dialogSize(n)
	if m.whole(n) {
		return 1, bodyLine + 1
	}
	lines := min(strings.Count(m.dialogs[n].View(width, height), "\n")+1, height)
	return (m.width-width-4)/2 + 2, bodyLine + (height-lines)/2 + 2
}

func (m *model) dialog(n int) string {
	top := m.dialogs[n]
	width, height := m.dialogSize(n)
	s := &m.env.Styles
	lines := strings.Split(top.View(width, height), "\n")
	lines = lines[:min(len(lines), height)]
	if m.whole(n) {
		lines = append([]string{s.Dim.Render("‹ ") + s.Title.Render(ui.Cut(ui.Clean(top.Title()), width-2))}, lines...)
		for i, line := range lines {
			lines[i] = " " + ui.Cut(line, width)
		}
		return strings.Join(lines, "\n")
	}
	lines = append([]string{s.Title.Render(ui.Fit(ui.Clean(top.Title()), width))}, lines...)
	for i, line := range lines {
		line = ui.Cut(line, width)
		lines[i] = line + strings.Repeat(" ", max(width-lipgloss.Width(line), 0))
	}
	return s.Box.Render(strings.Join(lines, "\n"))
}

// help lists all keys of the page and those that work everywhere.
func (m *model) help() ui.Dialog {
	s := &m.env.Styles
	page := m.pages[m.active]
	return &ui.Lines{Env: m.env, Heading: "Keys of " + page.Name(), Text: func(width int) []string {
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
			{Keys: "q ctrl-c", Does: "quit; ctrl-z suspends"},
		} {
			add(k)
		}
		return lines
	}}
}
