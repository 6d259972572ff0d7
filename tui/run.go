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
)

// Terminal is where the interface is drawn and typed at.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Env []string
}

// framesPerSecond bounds the time from a change to its drawing to half of what
// a person notices.
const framesPerSecond = 120

// Run shows the interface until the operator quits or ctx ends. However it ends
// the terminal is as it was.
func Run(ctx context.Context, opts Options, terminal Terminal) error {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	ctx, cancel := context.WithCancel(ctx)
	feed := live.NewFeed(opts.Client, opts.Tenant, opts.Now)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	following.Go(func() { feed.Run(ctx) })
	program := tea.NewProgram(newModel(ctx, opts, feed),
		tea.WithContext(ctx), tea.WithInput(terminal.In), tea.WithOutput(terminal.Out),
		tea.WithEnvironment(terminal.Env), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
	_, err := program.Run()
	if err != nil && (errors.Is(err, tea.ErrProgramPanic) || !errors.Is(err, tea.ErrProgramKilled)) {
		return fmt.Errorf("show terminal interface: %w", err)
	}
	return nil
}
