package e2e_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/enroll"
	"edgesync/core"
	"edgesync/onboarding"
)

// losing dials connections of which those to ask on, the third and later, lose the
// answer: all that comes after the request is read, for the CA to have done its
// part, and thrown away.
type losing struct {
	dialled, lost atomic.Int32
	// answers is how many are lost; each is told to then.
	answers int32
	then    func()
}

func (l *losing) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil || l.dialled.Add(1) < 3 || l.lost.Load() >= l.answers {
		return conn, err
	}
	return &losingConn{Conn: conn, losing: l}, nil
}

type losingConn struct {
	net.Conn
	losing  *losing
	written atomic.Int32
}

// Write counts the handshake's two flights, and the request after them.
func (c *losingConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	c.written.Add(1)
	return n, err
}

func (c *losingConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	if c.written.Load() < 3 {
		return n, err
	}
	_, _ = io.Copy(io.Discard, c.Conn)
	c.losing.lost.Add(1)
	c.losing.then()
	return 0, io.EOF
}

// enroll runs the command as a process of an edge host.
func (p *platform) enrolByCommand(t *testing.T, text, dir string, l *losing) cmdtest.Result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	newCmd := func(f *cmdutil.Factory) *cobra.Command {
		return enroll.NewCmdEnroll(f, func(ctx context.Context, opts *enroll.Options) error {
			opts.Client.Now = p.clock.now
			if l != nil {
				var end context.CancelFunc
				ctx, end = context.WithCancel(ctx)
				defer end()
				if l.then == nil {
					l.then = end
				}
				opts.Client.Dial = l.dial
			}
			return enroll.Run(ctx, opts)
		})
	}
	return cmdtest.Run(t, newCmd, cmdtest.Case{Args: []string{"enroll", "--dir", dir, "--token-file", file, "--no-input"}})
}

// TestLostAnswerStrandsNobody has the CA redeem a token and the host never hear of
// it: it asks again with the same key, in the same process or in the next.
func TestLostAnswerStrandsNobody(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	good := func(dir string) {
		t.Helper()
		config, err := onboarding.LoadConfig(filepath.Join(dir, filepath.FromSlash(onboarding.ConfigFile)))
		must(t, err)
		if _, err := config.LoadIdentity(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".join-*")); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	}
	once := filepath.Join(t.TempDir(), "once")
	l := &losing{answers: 1, then: func() {}}
	if got := p.enrolByCommand(t, p.mint("acme", "once").Text, once, l); got.Exit != 0 || l.lost.Load() != 1 {
		t.Errorf("with one answer lost: exit %d, %q, %d lost", got.Exit, got.Err, l.lost.Load())
	}
	good(once)

	killed, text := filepath.Join(t.TempDir(), "killed"), p.mint("acme", "killed").Text
	l = &losing{answers: 1}
	if got := p.enrolByCommand(t, text, killed, l); got.Exit == 0 || l.lost.Load() != 1 {
		t.Errorf("ended before the answer: exit %d, %q", got.Exit, got.Err)
	}
	if got := p.enrolByCommand(t, text, filepath.Join(t.TempDir(), "other"), nil); got.Exit != 4 {
		t.Errorf("from another directory, and so with another key: exit %d, %q", got.Exit, got.Err)
	}
	if got := p.enrolByCommand(t, text, killed, nil); got.Exit != 0 {
		t.Errorf("after that: exit %d, %q", got.Exit, got.Err)
	}
	good(killed)
	if live := p.certificates("acme", "killed"); len(live) != 1 {
		t.Errorf("%d certificates are good, want the last", len(live))
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "token.redeemed"})
	must(t, err)
	if len(events) != 4 {
		t.Errorf("tokens were redeemed %d times, want each twice", len(events))
	}
}

// TestRefusedEnrolmentLeavesNoKey has a key that was kept go with the token's end.
func TestRefusedEnrolmentLeavesNoKey(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tenant("acme")
	dir, minted := filepath.Join(t.TempDir(), "edge"), p.mint("acme", "edge")
	p.enrolByCommand(t, minted.Text, dir, &losing{answers: 1})
	if left, _ := filepath.Glob(filepath.Join(dir, ".join-*")); len(left) != 1 {
		t.Fatalf("after an answer was lost there are %v", left)
	}
	if _, err := p.core.RevokeService(t.Context(), operator, "acme", "edge"); err != nil {
		t.Fatal(err)
	}
	if got := p.enrolByCommand(t, minted.Text, dir, nil); got.Exit != 4 {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("after the refusal there are %v", left)
	}
}
