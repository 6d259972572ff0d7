package ui

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// Option is one thing to choose.
type Option struct {
	Value, Label string
	// Note says more of it, such as its state.
	Note string
}

// Field is one question of a Form: text, or a choice when it has Options or is
// marked so.
type Field struct {
	Name, Label, Help string
	Choice            bool
	Options           []Option
	Error             string
	// Empty is what an empty value stands for.
	Empty  string
	input  textinput.Model
	chosen int
}

// Form asks for several values at once. The order of its fields is that in
// which Tab goes through them.
type Form struct {
	Fields []*Field
	focus  int
	// from is the first field in sight.
	from int
}

// Text is a field for a line of text.
func Text(name, label, value, help string) *Field {
	f := &Field{Name: name, Label: label, Help: help, input: textinput.New()}
	f.input.Prompt = ""
	f.input.SetVirtualCursor(true)
	styles := f.input.Styles()
	styles.Cursor.Blink = false
	f.input.SetStyles(styles)
	f.input.SetValue(value)
	f.input.CursorEnd()
	return f
}

// Secret is a field for text that is not shown.
func Secret(name, label, help string) *Field {
	f := Text(name, label, "", help)
	f.input.EchoMode = textinput.EchoPassword
	f.input.EchoCharacter = '•'
	return f
}

// Choose is a field for one of several options.
func Choose(name, label, value, help string, options []Option) *Field {
	f := &Field{Name: name, Label: label, Help: help, Choice: true, Options: options}
	f.Set(value)
	return f
}

// Value is what was typed or chosen.
func (f *Field) Value() string {
	if !f.Choice {
		return f.input.Value()
	}
	if len(f.Options) == 0 {
		return ""
	}
	return f.Options[f.chosen].Value
}

// Set types or chooses a value.
func (f *Field) Set(value string) {
	if !f.Choice {
		f.input.SetValue(value)
		f.input.CursorEnd()
		return
	}
	f.chosen = 0
	for i, o := range f.Options {
		if o.Value == value {
			f.chosen = i
		}
	}
}

// SetOptions replaces what can be chosen and keeps what was, if it is there.
func (f *Field) SetOptions(options []Option) {
	value := f.Value()
	f.Options = options
	f.Set(value)
}

// NewForm focuses the first field.
func NewForm(fields ...*Field) *Form {
	f := &Form{Fields: fields}
	f.Focus(0)
	return f
}

// Field finds a field by its name, nil when there is none.
func (f *Form) Field(name string) *Field {
	for _, field := range f.Fields {
		if field.Name == name {
			return field
		}
	}
	return nil
}

// Value is that of a field, empty when there is none.
func (f *Form) Value(name string) string {
	if field := f.Field(name); field != nil {
		return field.Value()
	}
	return ""
}

// Focus moves to the field of that number.
func (f *Form) Focus(n int) {
	if len(f.Fields) == 0 {
		return
	}
	f.focus = max(min(n, len(f.Fields)-1), 0)
	for i, field := range f.Fields {
		if field.Choice {
			continue
		}
		if i == f.focus {
			_ = field.input.Focus() // The cursor does not blink: there is nothing to start.
		} else {
			field.input.Blur()
		}
	}
}

// Focused is the field with the focus.
func (f *Form) Focused() *Field { return f.Fields[f.focus] }

// Last tells that the focus is on the last field.
func (f *Form) Last() bool { return f.focus == len(f.Fields)-1 }

// Update takes a message; Enter on the last field submits.
func (f *Form) Update(msg tea.Msg) (submit bool) {
	if len(f.Fields) == 0 {
		key, ok := msg.(tea.KeyPressMsg)
		return ok && key.String() == "enter"
	}
	field := f.Focused()
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch msg.String() {
		case "tab":
			f.Focus((f.focus + 1) % len(f.Fields))
			return false
		case "shift+tab":
			f.Focus((f.focus + len(f.Fields) - 1) % len(f.Fields))
			return false
		case "down":
			f.Focus(f.focus + 1)
			return false
		case "up":
			f.Focus(f.focus - 1)
			return false
		case "ctrl+s":
			return true
		case "enter":
			if f.Last() {
				return true
			}
			f.Focus(f.focus + 1)
			return false
		}
		if field.Choice {
			field.step(msg.String())
			return false
		}
	case tea.PasteMsg:
		// A line end at the end of what is pasted is not part of the value.
		msg.Content = strings.TrimSpace(msg.Content)
		field.Error = ""
		if !field.Choice {
			field.input, _ = field.input.Update(msg)
		}
		return false
	case WheelMsg:
		f.Focus(f.focus + msg.Lines)
		return false
	case ClickMsg:
		if n := f.from + msg.Y; msg.Y >= 0 && n < len(f.Fields) {
			f.Focus(n)
		}
		return false
	default:
		return false
	}
	field.Error = ""
	field.input, _ = field.input.Update(msg)
	return false
}

func (f *Field) step(key string) {
	n := len(f.Options)
	if n == 0 {
		return
	}
	switch key {
	case "left", "h":
		f.chosen = (f.chosen + n - 1) % n
	case "right", "l", "space":
		f.chosen = (f.chosen + 1) % n
	}
}

// View draws the fields, one line each and the help of the focused one below.
func (f *Form) View(s *Styles, width, height int) string {
	label := 0
	for _, field := range f.Fields {
		label = max(label, len([]rune(field.Label)))
	}
	var below []string
	if len(f.Fields) > 0 {
		field := f.Focused()
		if field.Error != "" {
			for _, line := range Wrap("✗ "+field.Error, width) {
				below = append(below, s.Bad.Render(line))
			}
		} else if field.Help != "" {
			for _, line := range Wrap(field.Help, width) {
				below = append(below, s.Dim.Render(line))
			}
		}
	}
	room := max(height-len(below)-1, 1)
	f.from = max(min(f.focus-room/2, len(f.Fields)-room), 0)
	var lines []string
	for i := f.from; i < len(f.Fields) && i < f.from+room; i++ {
		lines = append(lines, f.Fields[i].line(s, label, width, i == f.focus))
	}
	if len(below) > 0 {
		lines = append(append(lines, ""), below...)
	}
	return strings.Join(lines, "\n")
}

func (f *Field) line(s *Styles, label, width int, focused bool) string {
	mark := "  "
	if focused {
		mark = s.Key.Render("› ")
	}
	name := Fit(f.Label, label)
	if focused {
		name = s.InputFocus.Render(name)
	} else {
		name = s.Label.Render(name)
	}
	room := max(width-label-4, 4)
	value := ""
	switch {
	case f.Choice:
		value = f.choice(s, room, focused)
	case focused:
		f.input.Placeholder = ""
		f.input.SetWidth(room - 1)
		value = f.input.View()
	case f.input.Value() == "":
		value = s.Dim.Render(Cut(Clean(f.Empty), room))
	case f.input.EchoMode == textinput.EchoPassword:
		value = Cut(strings.Repeat("•", len([]rune(f.input.Value()))), room)
	default:
		value = Cut(Clean(f.input.Value()), room)
	}
	if f.Error != "" && !focused {
		value = Cut(value, room-2) + s.Bad.Render(" ✗")
	}
	return mark + name + "  " + value
}

func (f *Field) choice(s *Styles, room int, focused bool) string {
	if len(f.Options) == 0 {
		return s.Dim.Render("(none)")
	}
	o := f.Options[f.chosen]
	text := Clean(o.Label)
	if o.Note != "" {
		text += "  " + Clean(o.Note)
	}
	if !focused {
		return Cut(text, room)
	}
	if len(f.Options) > 1 {
		return s.Key.Render("‹ ") + Cut(text, room-4) + s.Key.Render(" ›")
	}
	return Cut(text, room)
}
