// Package tui is the terminal interface: a root model that routes pages and one
// stack of dialogs over live data of the admin API. It speaks that API only and
// knows no core and no store; every page is a folder of its own.
package tui

import (
	"context"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/devices"
	"edgesync/tui/events"
	"edgesync/tui/integrations"
	"edgesync/tui/live"
	"edgesync/tui/overview"
	"edgesync/tui/services"
	"edgesync/tui/tenants"
	"edgesync/tui/ui"
	"edgesync/tui/wizard"
)

// Options are what the interface is made of. Client is required.
type Options struct {
	Client adminv1.AdminClient
	// Tenant binds the operator to one tenant; empty means all.
	Tenant string
	Now    func() time.Time
	// Out is the directory that edge packages are offered to be written to.
	Out string
	// Unserved tells that nobody serves the platform at the moment: no sync
	// service can connect, and nothing arrives. Nil means that somebody does.
	Unserved func() bool
	// Onboard opens the wizard at once and ends with it.
	Onboard *Onboarding
}

// Onboarding is the wizard alone.
type Onboarding struct {
	// Answers are given already.
	Answers onboarding.Answers
	// Done is told what was created.
	Done func(onboarding.Onboarded)
}

// toastLife is how long the status line says something.
const toastLife = 6 * time.Second

// model is the root.
type model struct {
	env     *ui.Env
	feed    *live.Feed
	context context.Context // Of the program: commands run under it.
	pages   []ui.Page
	active  int
	dialogs []ui.Dialog
	alone   bool
	// unserved is Options.Unserved, never nil.
	unserved func() bool

	width, height int
	toast         ui.ToastMsg
	toastAt       time.Time
}

// newModel makes the root. With a nil feed snapshots come as messages only.
func newModel(ctx context.Context, opts Options, feed *live.Feed) *model {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Out == "" {
		opts.Out = "."
	}
	if opts.Unserved == nil {
		opts.Unserved = func() bool { return false }
	}
	env := &ui.Env{Client: opts.Client, Now: opts.Now, Styles: ui.NewStyles(true), Tenant: opts.Tenant}
	env.Do = func(work func(context.Context) tea.Msg) tea.Cmd {
		return func() tea.Msg { return work(ctx) }
	}
	m := &model{env: env, feed: feed, context: ctx, unserved: opts.Unserved}
	addService := func(tenant string) tea.Cmd {
		return ui.Open(wizard.New(env, wizard.Options{Tenant: tenant, Out: opts.Out, AddSource: integrations.NewSource}))
	}
	m.pages = []ui.Page{
		overview.New(env), integrations.New(env, addService), services.New(env, addService),
		devices.New(env), events.New(env), tenants.New(env),
	}
	if opts.Onboard != nil {
		m.alone = true
		m.dialogs = append(m.dialogs, wizard.New(env, wizard.Options{
			Answers: opts.Onboard.Answers, Out: opts.Out, Done: opts.Onboard.Done, AddSource: integrations.NewSource,
		}))
	}
	return m
}

// snapshotMsg brings a new snapshot from the feed.
type snapshotMsg struct{ live.Snapshot }

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	return tea.Batch(m.next(), second(), tea.RequestBackgroundColor)
}

func (m *model) next() tea.Cmd {
	if m.feed == nil {
		return nil
	}
	return func() tea.Msg {
		snapshot, ok := m.feed.Next(m.context)
		if !ok {
			return nil
		}
		return snapshotMsg{snapshot}
	}
}

func second() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return ui.TickMsg{} })
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m, nil
	case tea.BackgroundColorMsg:
		m.env.Styles = ui.NewStyles(msg.IsDark())
		return m, nil
	case snapshotMsg:
		m.env.Live = msg.Snapshot
		return m, tea.Batch(m.tell(ui.LiveMsg{}), m.next())
	case ui.TickMsg:
		if m.toast.Text != "" && m.env.Now().Sub(m.toastAt) > toastLife {
			m.toast = ui.ToastMsg{}
		}
		return m, tea.Batch(m.tell(msg), second())
	case ui.OpenMsg:
		m.dialogs = append(m.dialogs, msg.Dialog)
		return m, msg.Dialog.Update(ui.ShownMsg{})
	case ui.CloseMsg:
		return m, m.closeDialog()
	case ui.ToastMsg:
		m.toast, m.toastAt = msg, m.env.Now()
		return m, nil
	case ui.GotoMsg:
		return m, m.goTo(msg.Page)
	case tea.KeyPressMsg:
		return m, m.press(msg)
	case tea.PasteMsg:
		return m, m.front()(msg)
	case tea.MouseClickMsg:
		return m, m.click(msg)
	case tea.MouseWheelMsg:
		return m, m.wheel(msg)
	}
	return m, m.tell(msg)
}

// tell hands a message to all: whoever asked for it knows it.
func (m *model) tell(msg tea.Msg) tea.Cmd {
	cmds := make([]tea.Cmd, 0, len(m.pages)+len(m.dialogs))
	for _, page := range m.pages {
		cmds = append(cmds, page.Update(msg))
	}
	for _, dialog := range m.dialogs {
		cmds = append(cmds, dialog.Update(msg))
	}
	return tea.Batch(cmds...)
}

// front is who keys go to.
func (m *model) front() func(tea.Msg) tea.Cmd {
	if n := len(m.dialogs); n > 0 {
		return m.dialogs[n-1].Update
	}
	return m.pages[m.active].Update
}

func (m *model) closeDialog() tea.Cmd {
	if len(m.dialogs) == 0 {
		return nil
	}
	m.dialogs = m.dialogs[:len(m.dialogs)-1]
	if m.alone && len(m.dialogs) == 0 {
		return tea.Quit
	}
	return nil
}

func (m *model) press(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.String()
	if key == "ctrl+c" {
		return tea.Quit
	}
	if n := len(m.dialogs); n > 0 {
		if key == "esc" {
			if m.dialogs[n-1].Escape() {
				return m.closeDialog()
			}
			return nil
		}
		return m.dialogs[n-1].Update(msg)
	}
	page := m.pages[m.active]
	if page.Typing() {
		return page.Update(msg)
	}
	switch key {
	case "q":
		return tea.Quit
	case "?":
		return ui.Open(m.help())
	case "tab", "right":
		return m.show((m.active + 1) % len(m.pages))
	case "shift+tab", "left":
		return m.show((m.active + len(m.pages) - 1) % len(m.pages))
	}
	if n, err := strconv.Atoi(key); err == nil && n >= 1 && n <= len(m.pages) {
		return m.show(n - 1)
	}
	return page.Update(msg)
}

func (m *model) show(n int) tea.Cmd {
	m.active = n
	return m.pages[n].Update(ui.ShownMsg{})
}

func (m *model) goTo(name string) tea.Cmd {
	for i, page := range m.pages {
		if page.Name() == name {
			return m.show(i)
		}
	}
	return nil
}

// click goes to a tab, or into what is in front.
func (m *model) click(msg tea.MouseClickMsg) tea.Cmd {
	if msg.Button != tea.MouseLeft {
		return nil
	}
	if len(m.dialogs) > 0 {
		x, y := m.dialogCorner()
		return m.front()(ui.ClickMsg{X: msg.X - x, Y: msg.Y - y})
	}
	if msg.Y == tabLine {
		if n := m.tabAt(msg.X); n >= 0 {
			return m.show(n)
		}
		return nil
	}
	return m.front()(ui.ClickMsg{X: msg.X, Y: msg.Y - bodyLine})
}

func (m *model) wheel(msg tea.MouseWheelMsg) tea.Cmd {
	const lines = 3
	switch msg.Button {
	case tea.MouseWheelUp:
		return m.front()(ui.WheelMsg{Lines: -lines})
	case tea.MouseWheelDown:
		return m.front()(ui.WheelMsg{Lines: lines})
	}
	return nil
}
