package cmdutil

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// IOStreams are the three standard streams and what is known of them.
type IOStreams struct {
	In  *bufio.Reader
	Out io.Writer
	Err io.Writer
	// InTerminal, OutTerminal and ErrTerminal tell which are a terminal.
	InTerminal, OutTerminal, ErrTerminal bool
	// Color is whether Out takes colours.
	Color bool
	// Plain is whether lists are written as a line of words for each item, to be
	// read out, and not as tables.
	Plain bool
	// Dumb is whether the terminal cannot move its cursor.
	Dumb bool
	// Width is how many cells wide the terminal of Err is; nil where there is none.
	Width func() int
	// ReadSecret reads one line without echo; nil where there is no terminal.
	ReadSecret func() ([]byte, error)
	// Keyboard is In before it is read by lines, for what takes over the whole
	// terminal; nil where there is none.
	Keyboard io.Reader
}

// FullScreen tells whether the terminal can be taken over.
func (s *IOStreams) FullScreen() bool {
	return s.InTerminal && s.OutTerminal && s.Keyboard != nil && !s.Dumb
}

// width is how wide lines on Err may be.
func (s *IOStreams) width() int {
	const usual = 80
	if s.Width == nil {
		return usual
	}
	if width := s.Width(); width > 0 {
		return width
	}
	return usual
}

// TestStreams are buffers, with in as standard input.
func TestStreams(in string) (streams *IOStreams, out, errOut *bytes.Buffer) {
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	return &IOStreams{In: bufio.NewReader(strings.NewReader(in)), Out: out, Err: errOut}, out, errOut
}

// SGR codes of the few styles a command uses.
const (
	styleBold   = "1"
	styleRed    = "31"
	styleGreen  = "32"
	styleYellow = "33"
)

// Paint wraps text in an SGR style if the output takes colours. The text must
// be neutralised already.
func (s *IOStreams) Paint(style, text string) string {
	if !s.Color || style == "" || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// Tellf writes one line for the person at the terminal to the error stream.
func (s *IOStreams) Tellf(format string, args ...any) {
	fmt.Fprintln(s.Err, Neutralise(fmt.Sprintf(format, args...)))
}
