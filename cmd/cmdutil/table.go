package cmdutil

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

const (
	// tableWindow rows decide the widths; what comes after them is written as it
	// comes.
	tableWindow = 256
	// tableCell is the widest cell on a terminal. Into a file or pipe nothing is
	// cut.
	tableCell = 60
	tableGap  = "  "
)

type cell struct {
	// text is neutralised.
	text  string
	style string
}

// table lines up columns. Widths are of the terminal's cells, not of bytes.
type table struct {
	io     *IOStreams
	titles []string
	widths []int
	rows   [][]cell
	open   bool
}

func newTable(streams *IOStreams, titles []string) *table {
	t := &table{io: streams, titles: titles, widths: make([]int, len(titles))}
	for i, title := range titles {
		t.widths[i] = lipgloss.Width(title)
	}
	return t
}

func (t *table) add(row []cell) error {
	if t.io.OutTerminal {
		for i := range row {
			row[i].text = shorten(row[i].text, tableCell)
		}
	}
	if t.open {
		return t.write(row)
	}
	for i := range row {
		t.widths[i] = max(t.widths[i], lipgloss.Width(row[i].text))
	}
	t.rows = append(t.rows, row)
	if len(t.rows) < tableWindow {
		return nil
	}
	return t.close()
}

// close writes the title and what is held back; rows added later follow.
func (t *table) close() error {
	if t.open {
		return nil
	}
	t.open = true
	titles := make([]cell, len(t.titles))
	for i, title := range t.titles {
		titles[i] = cell{text: title, style: styleBold}
	}
	if err := t.write(titles); err != nil {
		return err
	}
	for _, row := range t.rows {
		if err := t.write(row); err != nil {
			return err
		}
	}
	t.rows = nil
	return nil
}

func (t *table) write(row []cell) error {
	var b strings.Builder
	for i, c := range row {
		b.WriteString(t.io.Paint(c.style, c.text))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", max(t.widths[i]-lipgloss.Width(c.text), 0)) + tableGap)
		}
	}
	_, err := io.WriteString(t.io.Out, strings.TrimRight(b.String(), " ")+"\n")
	return err
}

// shorten cuts text to width cells, the last of them an ellipsis.
func shorten(text string, width int) string {
	if lipgloss.Width(text) <= width {
		return text
	}
	used := 0
	for i, r := range text {
		used += lipgloss.Width(string(r))
		if used > width-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// writeFields writes one line for each column that has a value.
func writeFields[T any](streams *IOStreams, columns []Column[T], item T) error {
	width := 0
	for _, column := range columns {
		width = max(width, lipgloss.Width(column.Title))
	}
	for i, c := range cells(columns, item) {
		if c.text == "" {
			continue
		}
		title := columns[i].Title + ":" + strings.Repeat(" ", width-lipgloss.Width(columns[i].Title))
		if _, err := io.WriteString(streams.Out, streams.Paint(styleBold, title)+" "+streams.Paint(c.style, c.text)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// StateStyle colours a word for a state: good, bad or in between.
func StateStyle(state string) string {
	switch state {
	case "online", "active", "success", "enabled":
		return styleGreen
	case "offline", "failed", "timeout", "revoked", "error":
		return styleRed
	case "degraded", "partial", "superseded", "suspended", "retracted", "warning", "disabled":
		return styleYellow
	default:
		return ""
	}
}
