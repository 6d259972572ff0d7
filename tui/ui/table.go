package ui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// Column is one column of a Table. Those with a Share divide what the fixed
// ones leave; those with a Level above zero go first when there is no room.
type Column struct {
	Title string
	Width int
	Share int
	Level int
	Right bool
}

// Cell is text, which is cleaned when drawn, and how it looks.
type Cell struct {
	Text  string
	Style lipgloss.Style
}

// Table is a list of rows with a cursor, a cell away from the left edge as all
// other text. It draws only what is in sight, so its cost does not depend on how
// many rows there are; a bar at the right shows where that is.
type Table struct {
	Columns []Column
	Cursor  int
	// Top is how many lines the page has above it.
	Top    int
	offset int
	height int
}

// Update moves the cursor; true when the message was for it.
func (t *Table) Update(msg tea.Msg, rows int) bool {
	page := max(t.height-1, 1)
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch msg.String() {
		case "up", "k":
			t.Cursor--
		case "down", "j":
			t.Cursor++
		case "pgup":
			t.Cursor -= page
		case "pgdown":
			t.Cursor += page
		case "home", "g":
			t.Cursor = 0
		case "end", "G":
			t.Cursor = rows - 1
		default:
			return false
		}
	case WheelMsg:
		t.Cursor += msg.Lines
	case ClickMsg:
		line := msg.Y - t.Top - 1 // The titles take the first line.
		row := t.offset + line
		if line < 0 || line >= t.height || row >= rows {
			return false
		}
		t.Cursor = row
	default:
		return false
	}
	t.Clamp(rows)
	return true
}

// Clamp keeps the cursor on a row there is.
func (t *Table) Clamp(rows int) { t.Cursor = max(min(t.Cursor, rows-1), 0) }

// View draws titles and rows in width by height cells.
func (t *Table) View(s *Styles, width, height, rows int, row func(i int) []Cell) string {
	t.Clamp(rows)
	t.height = max(height-1, 1)
	t.offset = max(min(t.offset, t.Cursor), t.Cursor-t.height+1, 0)
	t.offset = min(t.offset, max(rows-t.height, 0))
	inner := width - 2
	widths := t.widths(inner)
	lines := make([]string, 0, height)
	titles := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		titles[i] = Cell{Text: c.Title}
	}
	lines = append(lines, " "+s.Label.Render(t.line(s, titles, widths, true)))
	for i := t.offset; i < rows && len(lines) < height; i++ {
		line := t.line(s, row(i), widths, i == t.Cursor)
		if i == t.Cursor {
			line = s.Selected.Render(" " + Fit(line, inner))
		} else {
			line = " " + line
		}
		lines = append(lines, line+t.bar(s, i-t.offset, inner+1-lipgloss.Width(line), rows))
	}
	return strings.Join(lines, "\n")
}

// bar is the part of the scroll bar beside a line, gap cells away.
func (t *Table) bar(s *Styles, line, gap, rows int) string {
	if rows <= t.height {
		return ""
	}
	size := max(t.height*t.height/rows, 1)
	top := t.offset * (t.height - size) / max(rows-t.height, 1)
	mark := s.Dim.Render("│")
	if line >= top && line < top+size {
		mark = s.Accent.Render("┃")
	}
	return strings.Repeat(" ", max(gap, 0)) + mark
}

// line joins cells; plain leaves their styles out, for a line with a style of
// its own.
func (t *Table) line(s *Styles, cells []Cell, widths []int, plain bool) string {
	var b strings.Builder
	first := true
	for i, c := range cells {
		if widths[i] == 0 {
			continue
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		text := Clean(c.Text)
		if t.Columns[i].Right {
			if n := lipgloss.Width(text); n < widths[i] {
				text = strings.Repeat(" ", widths[i]-n) + text
			}
		}
		text = Fit(text, widths[i])
		if !plain && c.Style.GetForeground() != s.Plain.GetForeground() {
			text = c.Style.Render(text)
		}
		b.WriteString(text)
	}
	return b.String()
}

// minShare is the narrowest a sharing column gets before others are left out.
const minShare = 8

func (t *Table) widths(width int) []int {
	level := 0
	for _, c := range t.Columns {
		level = max(level, c.Level)
	}
	for ; ; level-- {
		widths, fits := t.widthsAt(width, level)
		if fits || level == 0 {
			return widths
		}
	}
}

// Shows tells that there is room for a column in that width.
func (t *Table) Shows(title string, width int) bool {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Title == title })
	return i >= 0 && t.widths(width - 2)[i] > 0
}

func (t *Table) widthsAt(width, level int) ([]int, bool) {
	widths := make([]int, len(t.Columns))
	left, shares, shown := width, 0, 0
	for i, c := range t.Columns {
		if c.Level > level || c.Width+c.Share == 0 {
			continue
		}
		shown++
		shares += c.Share
		if c.Share == 0 {
			widths[i] = c.Width
			left -= c.Width
		}
	}
	left -= shown - 1
	fits := left >= shares*minShare
	last := -1
	rest := left
	for i, c := range t.Columns {
		if c.Share > 0 && c.Level <= level {
			widths[i] = max(left*c.Share/shares, 1)
			rest -= widths[i]
			last = i
		}
	}
	if last >= 0 && rest > 0 {
		widths[last] += rest
	}
	return widths, fits
}
