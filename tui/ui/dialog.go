package ui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// Sheet is a dialog that takes the place of the page while it is open, and not a
// part of the window before it.
type Sheet interface {
	Dialog
	Whole() bool
}

// Confirm asks before something that cannot be taken back.
type Confirm struct {
	Env      *Env
	Heading  string
	Question string
	Verb     string
	Then     tea.Cmd
}

// Title implements Dialog.
func (c *Confirm) Title() string {
	if c.Heading == "" {
		return "Are you sure?"
	}
	return c.Heading
}

// Update implements Dialog.
func (c *Confirm) Update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok {
		switch key.String() {
		case "y", "Y":
			return c.Env.Close(c, c.Then)
		case "n", "N", "q":
			return c.Env.Close(c, nil)
		}
	}
	return nil
}

// View implements Dialog.
func (c *Confirm) View(width, _ int) string {
	s := &c.Env.Styles
	lines := append(Wrap(Clean(c.Question), width), "", s.Key.Render("y")+" "+c.Verb+"    "+s.Key.Render("n")+" leave it")
	return strings.Join(lines, "\n")
}

// Keys implements Dialog.
func (c *Confirm) Keys() []Key {
	return []Key{{Keys: "y", Does: c.Verb}, {Keys: "n", Does: "leave it"}}
}

// Escape implements Dialog.
func (c *Confirm) Escape() bool { return true }

// Named asks for a name to be typed before something that destroys much.
type Named struct {
	Env      *Env
	Heading  string
	Question string
	// Name is what has to be typed, Verb what is then done.
	Name, Verb string
	Then       tea.Cmd
	form       *Form
}

func (n *Named) fields() *Form {
	if n.form == nil {
		n.form = NewForm(Text("name", "Type "+n.Name, "", ""))
	}
	return n.form
}

// Title implements Dialog.
func (n *Named) Title() string { return n.Heading }

// Update implements Dialog.
func (n *Named) Update(msg tea.Msg) tea.Cmd {
	form := n.fields()
	if !form.Update(msg) {
		return nil
	}
	if strings.TrimSpace(form.Value("name")) != n.Name {
		form.Fields[0].Error = "that is not " + n.Name + ": nothing was done"
		return nil
	}
	return n.Env.Close(n, n.Then)
}

// View implements Dialog.
func (n *Named) View(width, height int) string {
	lines := append(Wrap(Clean(n.Question), width), "")
	return strings.Join(append(lines, n.fields().View(&n.Env.Styles, width, height-len(lines))), "\n")
}

// Keys implements Dialog.
func (n *Named) Keys() []Key {
	return []Key{{Keys: "enter", Does: n.Verb}, {Keys: "esc", Does: "leave it"}}
}

// Escape implements Dialog.
func (n *Named) Escape() bool { return true }

// Lines is a dialog of text that can be scrolled. Its text is made anew each
// time, so that it follows what is live.
type Lines struct {
	Env     *Env
	Heading string
	Text    func(width int) []string
	// Sheet makes it take the place of the page.
	Sheet bool
	// Extra are keys of its own, which On answers.
	Extra func() []Key
	On    func(key string) tea.Cmd
	// Heard is told of every message that is not a key.
	Heard func(msg tea.Msg) tea.Cmd
	// Self is the dialog it is a part of; nil where it is one itself.
	Self   Dialog
	offset int
	most   int
	height int
}

// Whole implements Sheet.
func (l *Lines) Whole() bool { return l.Sheet }

func (l *Lines) self() Dialog {
	if l.Self != nil {
		return l.Self
	}
	return l
}

// Title implements Dialog.
func (l *Lines) Title() string { return l.Heading }

// Update implements Dialog.
func (l *Lines) Update(msg tea.Msg) tea.Cmd {
	page := max(l.height-2, 1)
	switch msg := msg.(type) {
	case WheelMsg:
		l.offset += msg.Lines
	case tea.KeyPressMsg:
		switch msg.String() {
		case "up", "k":
			l.offset--
		case "down", "j":
			l.offset++
		case "pgup", "ctrl+b":
			l.offset -= page
		case "pgdown", "space", "ctrl+f":
			l.offset += page
		case "home", "g":
			l.offset = 0
		case "end", "G":
			l.offset = l.most
		case "q", "enter", "left":
			return l.Env.Close(l.self(), nil)
		default:
			if l.On != nil {
				return l.On(msg.String())
			}
		}
	default:
		if l.Heard != nil {
			return l.Heard(msg)
		}
	}
	l.offset = max(min(l.offset, l.most), 0)
	return nil
}

// View implements Dialog.
func (l *Lines) View(width, height int) string {
	lines := l.Text(width)
	l.height = height
	l.most = max(len(lines)-height, 0)
	l.offset = min(l.offset, l.most)
	return strings.Join(lines[l.offset:min(l.offset+height, len(lines))], "\n")
}

// Keys implements Dialog.
func (l *Lines) Keys() []Key {
	var keys []Key
	if l.Extra != nil {
		keys = append(keys, l.Extra()...)
	}
	switch {
	case l.most > l.offset:
		keys = append(keys, Key{Keys: "↑↓", Does: fmt.Sprintf("scroll, %d more", l.most-l.offset)})
	case l.most > 0:
		keys = append(keys, Key{Keys: "↑↓", Does: "scroll"})
	}
	return append(keys, Key{Keys: "esc", Does: "close"})
}

// Escape implements Dialog.
func (l *Lines) Escape() bool { return true }

// Notice is a dialog that says something at length.
func Notice(env *Env, heading, text string, bad bool) Dialog {
	return &Lines{Env: env, Heading: heading, Text: func(width int) []string {
		lines := Wrap(Clean(text), width)
		for i, line := range lines {
			if bad {
				lines[i] = env.Styles.Bad.Render(line)
			}
		}
		return lines
	}}
}

// labels is how wide the labels of details are.
const labels = 16

// Pair is one line of a detail: a label and a value, which is cleaned.
func Pair(s *Styles, label, value string, width int) string {
	return pair(s, label, value, labels, width)
}

// Pairs are lines of a detail whose labels come from outside: the longest has
// room in a third of the width.
func Pairs(s *Styles, pairs [][2]string, width int) []string {
	room := labels
	for _, p := range pairs {
		room = max(room, min(ansi.StringWidth(Clean(p[0])), width/3))
	}
	lines := make([]string, len(pairs))
	for i, p := range pairs {
		lines[i] = pair(s, Clean(p[0]), p[1], room, width)
	}
	return lines
}

func pair(s *Styles, label, value string, room, width int) string {
	return s.Label.Render(Fit(label, room)) + " " + Cut(Clean(value), width-room-1)
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
		return c.Env.Close(c, c.Pick(c.Options[c.table.Cursor].Value))
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
