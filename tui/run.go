package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"edgesync/tui/live"
	"edgesync/tui/ui"
)

// Terminal is where the interface is drawn and typed at.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Env []string
}

// FramesPerSecond bounds the time from a change to its drawing to half of what
// a person notices.
const FramesPerSecond = 120

// patience is how long the interface may take to end when it is asked to.
const patience = 2 * time.Second

// Run shows the interface until the operator quits or ctx ends. However it ends
// the terminal is as it was; a *Fault tells of a bug that ended it.
func Run(ctx context.Context, opts Options, terminal Terminal) error {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	ctx, cancel := context.WithCancel(ctx)
	feed := live.NewFeed(opts.Client, opts.Tenant, opts.Now)
	shown := New(ctx, opts, feed)
	if !ui.ShowsUTF8(terminal.Env) {
		shown = inASCII{shown}
	}
	return run(ctx, cancel, shown, feed, terminal)
}

// inASCII draws a model for a terminal that shows nothing else.
type inASCII struct{ tea.Model }

// View implements tea.Model.
func (m inASCII) View() tea.View {
	view := m.Model.View()
	view.Content = ui.ASCII(view.Content)
	return view
}

// run shows a model until it quits or ctx ends, which cancel does.
func run(ctx context.Context, cancel func(), shown tea.Model, feed *live.Feed, terminal Terminal, more ...tea.ProgramOption) error {
	g := &guard{inner: shown}
	program := tea.NewProgram(g, append([]tea.ProgramOption{
		tea.WithContext(context.WithoutCancel(ctx)), tea.WithInput(terminal.In), tea.WithOutput(terminal.Out),
		tea.WithEnvironment(terminal.Env), tea.WithFPS(FramesPerSecond), tea.WithoutSignalHandler(),
	}, more...)...)
	var helping sync.WaitGroup
	defer helping.Wait()
	defer cancel()
	g.end = func() { helping.Go(program.Quit) } // Quit waits for who may be here.
	helping.Go(func() {
		defer g.catch("follow the platform")
		feed.Run(ctx)
	})
	ended := make(chan struct{})
	// Ended by its context a program leaves its keyboard to whoever still reads it.
	// Asked to quit it waits for that; one that does not answer is ended all the same.
	helping.Go(func() {
		<-ctx.Done()
		late := time.AfterFunc(patience, program.Kill)
		defer late.Stop()
		program.Quit()
		<-ended
	})
	_, err := program.Run()
	close(ended)
	if fault := g.Fault(); fault != nil {
		return fault
	}
	if err != nil && (errors.Is(err, tea.ErrProgramPanic) || !errors.Is(err, tea.ErrProgramKilled)) {
		return fmt.Errorf("show terminal interface: %w", err)
	}
	return nil
}
