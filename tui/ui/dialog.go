package ui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// Confirm asks before something that cannot be taken back.
type Confirm struct {
	Env      *Env
	Question string
	Verb     string
	Then     tea.Cmd
}

// Title implements Dialog.
func (c *Confirm) Title() string { return "Are you sure?" }

// Update implements Dialog.
func (c *Confirm) Update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok {
		switch key.String() {
		case "y", "Y":
			return tea.Sequence(Close, c.Then)
		case "n", "N":
			return Close
		}
	}
	return nil
}

// View implements Dialog.
func (c *Confirm) View(width, _ int) string {
	return strings.Join(Wrap(Clean(c.Question), width), "\n")
}

// Keys implements Dialog.
func (c *Confirm) Keys() []Key {
	return []Key{{Keys: "y", Does: c.Verb}, {Keys: "n", Does: "leave it"}}
}

// Escape implements Dialog.
func (c *Confirm) Escape() bool { return true }

// Lines is a dialog of text that can be scrolled. Its text is made anew each
// time, so that it follows what is live.
type Lines struct {
	Heading string
	Text    func(width int) []string
	// Extra keys are answered by On.
	Extra  []Key
	On     func(key string) tea.Cmd
	offset int
	most   int
}

// Title implements Dialog.
func (l *Lines) Title() string { return l.Heading }

// Update implements Dialog.
func (l *Lines) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case WheelMsg:
		l.offset += msg.Lines
	case tea.KeyPressMsg:
		switch msg.String() {
		case "up", "k":
			l.offset--
		case "down", "j":
			l.offset++
		case "pgup":
			l.offset -= 10
		case "pgdown", "space":
			l.offset += 10
		case "home", "g":
			l.offset = 0
		case "end", "G":
			l.offset = l.most
		case "q", "enter":
			return Close
		default:
			if l.On != nil {
				return l.On(msg.String())
			}
		}
	}
	l.offset = max(min(l.offset, l.most), 0)
	return nil
}

// View implements Dialog.
func (l *Lines) View(width, height int) string {
	lines := l.Text(width)
	l.most = max(len(lines)-height, 0)
	l.offset = min(l.offset, l.most)
	return strings.Join(lines[l.offset:min(l.offset+height, len(lines))], "\n")
}

// Keys implements Dialog.
func (l *Lines) Keys() []Key {
	keys := append([]Key{}, l.Extra...)
	if l.most > 0 {
		keys = append(keys, Key{Keys: "↑↓", Does: "scroll"})
	}
	return append(keys, Key{Keys: "esc", Does: "close"})
}

// Escape implements Dialog.
func (l *Lines) Escape() bool { return true }

// Pair is one line of a detail: a label and a value, which is cleaned.
func Pair(s *Styles, label, value string, width int) string {
	const labels = 16
	return s.Label.Render(Fit(label, labels)) + " " + Cut(Clean(value), width-labels-1)
}

// Choice is a dialog to choose one of a list.
type Choice struct {
	Env     *Env
	Heading string
	Options []Option
	Pick    func(value string) tea.Cmd
	table   Table
}

// Title implements Dialog.
func (c *Choice) Title() string { return c.Heading }

// Update implements Dialog.
func (c *Choice) Update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok && key.String() == "enter" && len(c.Options) > 0 {
		return tea.Sequence(Close, c.Pick(c.Options[c.table.Cursor].Value))
	}
	c.table.Update(msg, len(c.Options))
	return nil
}

// View implements Dialog.
func (c *Choice) View(width, height int) string {
	c.table.Columns = []Column{{Title: "", Share: 1}, {Title: "", Share: 1}}
	return c.table.View(&c.Env.Styles, width, min(height, len(c.Options)+1), len(c.Options), func(i int) []Cell {
		return []Cell{{Text: c.Options[i].Label}, {Text: c.Options[i].Note}}
	})
}

// Keys implements Dialog.
func (c *Choice) Keys() []Key {
	return []Key{{Keys: "↑↓", Does: "move"}, {Keys: "enter", Does: "choose"}, {Keys: "esc", Does: "close"}}
}

// Escape implements Dialog.
func (c *Choice) Escape() bool { return true }
