package ui

import "charm.land/lipgloss/v2"

// Styles are all colours and text attributes there are. The colours are of the
// sixteen every terminal has, as the user's own theme shows them; with NO_COLOR
// the renderer drops them, and bold, reverse and words still tell everything.
// What matters less is faint and not grey: some themes have no grey that can be
// read.
type Styles struct {
	Plain, Bold, Dim, Title       lipgloss.Style
	Tab, ActiveTab                lipgloss.Style
	Selected                      lipgloss.Style
	Good, Warn, Bad, Accent       lipgloss.Style
	Key, KeyText, Disabled        lipgloss.Style
	Box, Label, Input, InputFocus lipgloss.Style
}

// Widths that pages share.
const (
	// MinWidth and MinHeight are the smallest window that is drawn in.
	MinWidth, MinHeight = 60, 16
	// DialogWidth is the widest a dialog over a page gets.
	DialogWidth = 80
)

// NewStyles makes the styles for a dark or a light background.
func NewStyles(dark bool) Styles {
	accent, good, warn, bad := lipgloss.Color("14"), lipgloss.Color("10"), lipgloss.Color("11"), lipgloss.Color("9")
	if !dark {
		accent, good, warn, bad = lipgloss.Color("4"), lipgloss.Color("2"), lipgloss.Color("3"), lipgloss.Color("1")
	}
	base := lipgloss.NewStyle()
	return Styles{
		Plain: base, Bold: base.Bold(true), Dim: base.Faint(true),
		Title: base.Bold(true).Foreground(accent),
		Tab:   base, ActiveTab: base.Bold(true).Reverse(true),
		Selected: base.Reverse(true),
		Good:     base.Foreground(good), Warn: base.Foreground(warn), Bad: base.Foreground(bad), Accent: base.Foreground(accent),
		Key: base.Bold(true).Foreground(accent), KeyText: base, Disabled: base.Faint(true),
		Box:   base.Border(lipgloss.RoundedBorder()).BorderForeground(accent).Padding(0, 1),
		Label: base.Faint(true), Input: base, InputFocus: base.Bold(true),
	}
}

// State colours a word for a state: good, bad or in between.
func (s *Styles) State(word string) lipgloss.Style {
	switch word {
	case "online", "active", "success", "enabled":
		return s.Good
	case "offline", "failed", "timeout", "revoked", "error", "expired":
		return s.Bad
	case "degraded", "partial", "superseded", "suspended", "retracted", "warning", "disabled", "held":
		return s.Warn
	case "running":
		return s.Accent
	case "never seen":
		return s.Dim
	}
	return s.Plain
}

// Mark is a sign before a state's word, so that it does not rest on colour.
func Mark(state string) string {
	switch state {
	case "online", "active", "success", "enabled":
		return "●"
	case "degraded", "partial", "superseded", "suspended", "retracted", "disabled", "warning", "held":
		return "◐"
	case "running":
		return "▸"
	case "", "never seen":
		return "·"
	}
	return "○"
}
