// Package ui is what the pages of the terminal interface are made from: the
// styles, text made harmless, tables, forms, and what the root gives to a page
// and takes from it. It knows no page.
package ui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/live"
)

// Env is what the root gives to its pages and dialogs. They read it; only the
// root changes it, between one message and the next.
type Env struct {
	Client adminv1.AdminClient
	Now    func() time.Time
	Styles Styles
	// Live is how the platform stood a moment ago.
	Live live.Snapshot
	// Tenant is the only one there is for this operator; empty means all.
	Tenant string
	// Do runs work away from the model and brings its message back. The context
	// ends with the program.
	Do func(work func(ctx context.Context) tea.Msg) tea.Cmd
}

// Page is one page. Update changes it and is called by the root alone.
type Page interface {
	Name() string
	Update(msg tea.Msg) tea.Cmd
	// View draws at most width by height cells.
	View(width, height int) string
	Keys() []Key
	// Typing tells that keys go into an input.
	Typing() bool
}

// Dialog is what stands over a page until it is closed. Esc closes it unless it
// takes Esc itself.
type Dialog interface {
	Title() string
	Update(msg tea.Msg) tea.Cmd
	View(width, height int) string
	Keys() []Key
	// Escape is asked when Esc is pressed: true closes the dialog.
	Escape() bool
}

// Key is one entry of the help at the bottom. One that is Off does nothing now.
type Key struct {
	Keys, Does string
	Off        bool
}

// What a page or dialog asks of the root.
type (
	// OpenMsg puts a dialog on the stack.
	OpenMsg struct{ Dialog Dialog }
	// CloseMsg takes the top dialog off.
	CloseMsg struct{}
	// ToastMsg says something in the status line for a moment.
	ToastMsg struct {
		Text string
		Bad  bool
	}
	// GotoMsg goes to a page by its name.
	GotoMsg struct{ Page string }
	// TickMsg comes every second: ages on the screen grow.
	TickMsg struct{}
	// LiveMsg says that Env.Live was replaced.
	LiveMsg struct{}
	// ShownMsg tells a page that it is now the one that is shown.
	ShownMsg struct{}
	// ClickMsg is a click inside a page or dialog, from its top left corner.
	ClickMsg struct{ X, Y int }
	// WheelMsg turns by lines, down being positive.
	WheelMsg struct{ Lines int }
)

// Open asks for a dialog.
func Open(d Dialog) tea.Cmd { return func() tea.Msg { return OpenMsg{d} } }

// Close asks to take the top dialog off.
func Close() tea.Msg { return CloseMsg{} }

// Toast tells that something is done.
func Toast(text string) tea.Cmd { return func() tea.Msg { return ToastMsg{Text: text} } }

// Fail tells that something did not work.
func Fail(err error) tea.Cmd {
	return func() tea.Msg { return ToastMsg{Text: ErrorText(err), Bad: true} }
}
