package cmd

import (
	"bufio"
	"os"

	"golang.org/x/term"

	"edgesync/cmd/cmdutil"
)

// systemStreams are the process's own. Colours follow the terminal, NO_COLOR
// and TERM=dumb (no-color.org).
func systemStreams(env func(string) (string, bool)) *cmdutil.IOStreams {
	streams := &cmdutil.IOStreams{
		In: bufio.NewReader(os.Stdin), Out: os.Stdout, Err: os.Stderr,
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
		streams.ReadSecret = func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) }
	}
	return streams
}
