// Package ui is what the pages of the terminal interface are made from: the
// styles, text made harmless, tables, forms, and what the root gives to a page
// and takes from it. It knows no page.
package ui

import (
	"context"
	"slices"
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
	// Unserved tells that nobody serves the platform at the moment.
	Unserved func() bool
	// Do runs work away from the model and brings its message back. The context
	// ends with the program.
	Do func(work func(ctx context.Context) tea.Msg) tea.Cmd
	// changes are what was asked of the stack of dialogs.
	changes []Change
}

// The roles of an operator, from the least.
const (
	Viewer   = "viewer"
	Operator = "operator"
	Admin    = "admin"
)

// Refusal is why the operator may not do what takes a role, or empty. Whatever
// the platform would refuse is not offered.
func (e *Env) Refusal(role string) string {
	caller := e.Live.Caller
	if caller == nil {
		return ""
	}
	roles := []string{Viewer, Operator, Admin}
	if slices.Index(roles, caller.GetRole()) >= slices.Index(roles, role) {
		return ""
	}
	return "it takes the role " + role + ", and " + Clean(caller.GetName()) + " has the role " + Clean(caller.GetRole())
}

// RefusalOfTenants is why the operator may not make, suspend or remove tenants,
// or empty.
func (e *Env) RefusalOfTenants() string {
	if e.Live.Caller.GetTenant() != "" {
		return "operator " + Clean(e.Live.Caller.GetName()) + " is limited to tenant " + Clean(e.Live.Caller.GetTenant())
	}
	return e.Refusal(Admin)
}

// Refuse says why something is not done; what names it.
func Refuse(what, refusal string) tea.Cmd {
	return func() tea.Msg { return ToastMsg{Text: what + ": " + refusal, Bad: true} }
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

// Change is a dialog to put on the stack, with a command whose message is for it,
// or one to take off.
type Change struct {
	Dialog Dialog
	And    tea.Cmd
	Off    bool
}

// Open puts a dialog on the stack. What is asked of the stack is done before the
// next message: keys that are typed ahead go where they were meant to. It returns
// nil, to be returned by Update.
func (e *Env) Open(d Dialog) tea.Cmd { return e.OpenAnd(d, nil) }

// OpenAnd opens a dialog and then runs a command whose message is for it.
func (e *Env) OpenAnd(d Dialog, cmd tea.Cmd) tea.Cmd {
	e.changes = append(e.changes, Change{Dialog: d, And: cmd})
	return nil
}

// Close takes a dialog off the stack, and goes on with a command.
func (e *Env) Close(d Dialog, cmd tea.Cmd) tea.Cmd {
	e.changes = append(e.changes, Change{Dialog: d, Off: true})
	return cmd
}

// Changes are those asked for since they were last taken.
func (e *Env) Changes() []Change {
	asked := e.changes
	e.changes = nil
	return asked
}

// Toast tells that something is done.
func Toast(text string) tea.Cmd { return func() tea.Msg { return ToastMsg{Text: text} } }

// Fail tells that something did not work.
func Fail(err error) tea.Cmd {
	return func() tea.Msg { return ToastMsg{Text: ErrorText(err), Bad: true} }
}
