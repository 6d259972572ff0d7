//go:build linux

package tui

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"edgesync/tui/live"
)

// pty is a terminal with both its ends here.
type pty struct {
	t          *testing.T
	host, self *os.File
	mu         sync.Mutex
	drawn      bytes.Buffer
	grown      chan struct{}
}

func newPTY(t *testing.T) *pty {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here: ", err)
	}
	var peer uintptr
	raw, err := host.SyscallConn() // Its descriptor itself could not be waited on any more.
	must(err)
	must(raw.Control(func(fd uintptr) {
		var errno unix.Errno
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			peer, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
		}
		if err == nil && errno != 0 {
			err = errno
		}
		err = errors.Join(err, unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	}))
	must(err)
	p := &pty{t: t, host: host, self: os.NewFile(peer, "terminal"), grown: make(chan struct{}, 1)}
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 1<<16)
		for {
			n, err := host.Read(buffer)
			p.mu.Lock()
			p.drawn.Write(buffer[:n])
			p.mu.Unlock()
			select {
			case p.grown <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = host.Close()
		reading.Wait()
		// What the interface reads with may still look at the other end: it is left
		// to be closed by itself.
	})
	return p
}

func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drawn.String()
}

func (p *pty) mode() unix.Termios {
	p.t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.self.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *mode
}

func (p *pty) sees(text string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(p.text(), text) {
		select {
		case <-p.grown:
		case <-deadline:
			p.t.Fatalf("%q is not drawn in %q", text, p.text())
		}
	}
}

// broken is the interface with a bug that a key brings out.
type broken struct {
	*model
	in    string
	armed bool
}

func (b *broken) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	key, ok := msg.(tea.KeyPressMsg)
	if !ok || key.String() != "!" {
		_, cmd := b.model.Update(msg)
		return b, cmd
	}
	fail := func() tea.Msg { panic("a bug in " + b.in) }
	switch b.in {
	case "Update":
		panic("a bug in Update")
	case "View":
		b.armed = true
	case "Cmd":
		return b, fail
	case "Batch":
		return b, tea.Batch(tea.Batch(fail, nil), nil)
	case "Sequence":
		return b, tea.Sequence(func() tea.Msg { return nil }, tea.Sequence(tea.Batch(fail, fail), fail))
	}
	return b, nil
}

func (b *broken) View() tea.View {
	if b.armed {
		panic("a bug in View")
	}
	return b.model.View()
}

// TestABugGivesTheTerminalBack brings out a bug wherever there may be one, and
// looks at the terminal afterwards.
func TestABugGivesTheTerminalBack(t *testing.T) {
	for _, in := range []string{"Update", "View", "Cmd", "Batch", "Sequence"} {
		t.Run(in, func(t *testing.T) {
			p := newPTY(t)
			before := p.mode()
			client := &busy{&platform{}, 1000}
			ctx, cancel := context.WithCancel(t.Context())
			opts := Options{Client: client, Now: time.Now}
			feed := live.NewFeed(client, "", time.Now)
			done := make(chan error, 1)
			go func() {
				done <- run(ctx, cancel, &broken{model: newModel(ctx, opts, feed), in: in}, feed,
					Terminal{In: p.self, Out: p.self, Env: []string{"TERM=xterm-256color"}})
			}()
			p.sees("live")
			if p.mode() == before {
				t.Error("the terminal was not taken over")
			}
			if _, err := p.host.WriteString("!"); err != nil {
				t.Fatal(err)
			}
			var fault *Fault
			if err := <-done; !errors.As(err, &fault) {
				t.Fatalf("it ended with %v", err)
			}
			if !strings.Contains(fault.Error(), "a bug in "+in) || !bytes.Contains(fault.Stack, []byte("guard_test.go")) {
				t.Errorf("the fault is %v\n%s", fault, fault.Stack)
			}
			p.sees("\x1b[?1049l") // The screen before is back.
			p.sees("\x1b[?25h")   // The cursor is,
			p.sees("\x1b[?1002l") // and the mouse is the terminal's own.
			if after := p.mode(); after != before {
				t.Errorf("the terminal's mode is %+v, and was %+v", after, before)
			}
			if text := p.text(); strings.Contains(text, "goroutine") || strings.Contains(text, "Caught panic") {
				t.Errorf("the screen is full of the fault: %q", text)
			}
		})
	}
}

// TestWhateverEndsItGivesTheTerminalBack quits, interrupts, and ends from
// outside.
func TestWhateverEndsItGivesTheTerminalBack(t *testing.T) {
	for name, end := range map[string]func(p *pty, cancel func()){
		"q":      func(p *pty, _ func()) { _, _ = p.host.WriteString("q") },
		"ctrl-c": func(p *pty, _ func()) { _, _ = p.host.WriteString("2a\x03") },
		"signal": func(_ *pty, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPTY(t)
			before := p.mode()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				done <- Run(ctx, Options{Client: &busy{&platform{}, 1000}}, Terminal{In: p.self, Out: p.self, Env: []string{"TERM=xterm-256color"}})
			}()
			p.sees("live")
			end(p, cancel)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			p.sees("\x1b[?1049l")
			p.sees("\x1b[?25h")
			if after := p.mode(); after != before {
				t.Errorf("the terminal's mode is %+v, and was %+v", after, before)
			}
		})
	}
}

// draw draws every page on a terminal of this environment.
func draw(t *testing.T, env ...string) string {
	t.Helper()
	p := newPTY(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Client: &busy{&platform{devices: manyDevices(50), detail: deviceDetail()}, 1000}}, Terminal{In: p.self, Out: p.self, Env: env})
	}()
	p.sees("live")
	for _, keys := range []struct{ press, sees string }{
		{"2", "New Source"}, {"3", "HEARTBEAT"}, {"4", "HOSTNAME"}, {"\r", "Why"}, {"q", "HOSTNAME"}, {"5", "EVENT"}, {"6", "DEVICES"},
	} {
		if _, err := p.host.WriteString(keys.press); err != nil {
			t.Fatal(err)
		}
		p.sees(keys.sees)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return p.text()
}

// TestOnlyASCIIWhereTheLocaleHasNoMore draws every page as a terminal gets it under
// LC_ALL=C, and as any other does.
func TestOnlyASCIIWhereTheLocaleHasNoMore(t *testing.T) {
	beyond := func(r rune) bool { return r > unicode.MaxASCII }
	if got := draw(t, "TERM=xterm-256color", "LC_ALL=C", "LANG=en_US.UTF-8"); strings.ContainsFunc(got, beyond) {
		t.Errorf("it drew %q", got[strings.IndexFunc(got, beyond):])
	}
	if !strings.ContainsFunc(draw(t, "TERM=xterm-256color", "LANG=en_US.UTF-8"), beyond) {
		t.Error("it drew ASCII on a terminal that has more")
	}
}

// TestNoColorDrawsNone draws every page as a terminal gets it under NO_COLOR, and
// as one with sixteen colours does.
func TestNoColorDrawsNone(t *testing.T) {
	if colours := colours(draw(t, "TERM=xterm-256color", "NO_COLOR=1")); len(colours) > 0 {
		t.Errorf("under NO_COLOR it drew %q", colours)
	}
	got := colours(draw(t, "TERM=xterm-16color"))
	if len(got) == 0 {
		t.Error("it drew no colour")
	}
	for _, colour := range got {
		if strings.HasPrefix(colour, "38") || strings.HasPrefix(colour, "48") {
			t.Errorf("a terminal of sixteen colours got %q", colour)
		}
	}
}

// colours are the SGR parameters in what was drawn that set a colour.
func colours(text string) (found []string) {
	for part := range strings.SplitSeq(text, "\x1b[") {
		end := strings.IndexFunc(part, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 || part[end] != 'm' {
			continue
		}
		params := strings.Split(part[:end], ";")
		for i, param := range params {
			switch {
			case param == "38" || param == "48":
				found = append(found, strings.Join(params[i:], ";"))
			case len(param) == 2 && (param[0] == '3' || param[0] == '4' || param[0] == '9') && param[1] <= '7':
				found = append(found, param)
			case len(param) == 3 && strings.HasPrefix(param, "10"):
				found = append(found, param)
			}
		}
	}
	return found
}
