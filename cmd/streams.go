package cmd

import (
	"bufio"
	"context"
	"os"

	"golang.org/x/term"

	"edgesync/cmd/cmdutil"
)

// systemStreams are the process's own. Colours follow the terminal, NO_COLOR
// and TERM=dumb (no-color.org). A question ends with ctx, as an interrupt ends it.
func systemStreams(ctx context.Context, env func(string) (string, bool)) *cmdutil.IOStreams {
	streams := &cmdutil.IOStreams{
		In: bufio.NewReader(&interruptible{ctx: ctx, from: os.Stdin}), Out: os.Stdout, Err: os.Stderr,
		InTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	noColor, _ := env("NO_COLOR")
	terminal, _ := env("TERM")
	streams.Dumb = terminal == "dumb"
	streams.Color = streams.OutTerminal && noColor == "" && !streams.Dumb
	streams.Width = func() int {
		// One that cannot be asked is as wide as most.
		width, _, _ := term.GetSize(int(os.Stderr.Fd()))
		return width
	}
	if streams.InTerminal {
		streams.Keyboard = os.Stdin
		streams.ReadSecret = func() ([]byte, error) { return readSecret(ctx) }
	}
	return streams
}

// interruptible reads until its context ends, which no read of a terminal does by
// itself. What is read after that is kept for the next reading.
type interruptible struct {
	ctx  context.Context
	from *os.File
	// under is the read under way.
	under chan read
}

type read struct {
	data []byte
	err  error
}

// Read implements io.Reader.
func (r *interruptible) Read(into []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	if r.under == nil {
		under := make(chan read, 1)
		r.under = under
		go func() { // It ends with the next line, or with the process.
			data := make([]byte, len(into))
			n, err := r.from.Read(data)
			under <- read{data[:n], err}
		}()
	}
	select {
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	case done := <-r.under:
		r.under = nil
		return copy(into, done.data), done.err
	}
}

// readSecret reads a line without echo. An interrupt gives the echo back, and so
// does a suspension, for as long as it lasts.
func readSecret(ctx context.Context) ([]byte, error) {
	terminal := int(os.Stdin.Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return nil, err
	}
	suspended, end := suspensions()
	defer end()
	done := make(chan read, 1)
	go func() { // It ends with the next line, or with the process.
		secret, err := term.ReadPassword(terminal)
		done <- read{secret, err}
	}()
	for {
		select {
		case <-ctx.Done():
			if err := term.Restore(terminal, before); err != nil {
				return nil, err
			}
			return nil, ctx.Err()
		case <-suspended:
			if err := pause(terminal, before); err != nil {
				return nil, err
			}
		case secret := <-done:
			return secret.data, secret.err
		}
	}
}

// pause suspends the process with the terminal as it was before. A shell may give
// it back with echo.
func pause(terminal int, before *term.State) error {
	silent, err := term.GetState(terminal)
	if err != nil {
		return err
	}
	if err := term.Restore(terminal, before); err != nil {
		return err
	}
	if err := suspend(); err != nil {
		return err
	}
	return term.Restore(terminal, silent)
}
