package ui

import "strings"

// Waiting is what a page shows before anything has arrived, or when it cannot.
func Waiting(env *Env, what string) string {
	s := &env.Styles
	if env.Live.Problem == "" {
		return "\n " + s.Dim.Render(what)
	}
	return strings.Join([]string{
		"", " " + s.Bad.Render("✗ "+Clean(env.Live.Problem)), "",
		" " + s.Dim.Render("It is tried again by itself. If this stays, look whether"),
		" " + s.Dim.Render("`edgesync serve` runs, and what its log says."),
	}, "\n")
}

// Nothing is what a list without rows shows: what is missing, and the way out.
func Nothing(env *Env, width int, what string, ways ...string) string {
	lines := []string{"", " " + env.Styles.Bold.Render(Cut(what, width-2))}
	for _, way := range ways {
		for _, line := range Wrap(way, width-2) {
			lines = append(lines, " "+env.Styles.Dim.Render(line))
		}
	}
	return strings.Join(lines, "\n")
}

// SearchLine is the line a search is typed in.
func SearchLine(env *Env, form *Form, typing bool, width int) string {
	s := &env.Styles
	field := form.Fields[0]
	if !typing {
		return Cut(" "+s.Key.Render("/ ")+Clean(field.Value()), width)
	}
	field.input.SetWidth(width - 5)
	return " " + s.Key.Render("/ ") + field.input.View()
}
