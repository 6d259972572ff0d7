package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/certs/client"
	"edgesync/store/postgres/pgtest"
)

// program runs this test binary as edgesync, with a state directory.
type program struct {
	t   *testing.T
	dir string
	env []string
}

func newProgram(t *testing.T, env ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// testscript.Main goes by the name it is called by.
	if err := os.Symlink(self, filepath.Join(dir, "edgesync")); err != nil {
		t.Fatal(err)
	}
	return &program{t: t, dir: dir, env: append(os.Environ(), append(env,
		"EDGESYNC_STATE_DIR="+filepath.Join(dir, "state"), "HOME="+dir, "GORACE=atexit_sleep_ms=20")...)}
}

func (p *program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.dir, "edgesync"), args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// run runs a command that must succeed, and returns its standard output.
func (p *program) run(args ...string) []byte {
	p.t.Helper()
	cmd := p.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("edgesync %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// serve starts serve and waits until it answers; stop has it end.
func (p *program) serve(gateway, ca, metrics string) (stop func()) {
	p.t.Helper()
	cmd := p.command("serve", "--listen", gateway, "--ca-listen", ca, "--metrics-listen", metrics)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || p.t.Failed() {
			p.t.Logf("serve ended with %v and said:\n%s", err, log.String())
		}
	})
	p.t.Cleanup(stop)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // Between two looks.
		answer, err := http.Get("http://" + metrics + "/readyz")
		if err == nil && answer.Body.Close() == nil {
			return stop
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("serve is not ready: %v", err)
		}
	}
}

// site is a client of the enrolment CA at an address of this host's own: as many
// as try in vain from one are told to wait.
func site(n int, ca string) client.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+n/200), byte(1+n%200))}}
	return client.Client{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, ca)
	}}
}

// TestR30_TokenIsGoodOnceOverTwoServes has many hosts redeem one token at two
// processes that serve one PostgreSQL, over and over.
func TestR30_TokenIsGoodOnceOverTwoServes(t *testing.T) {
	t.Parallel()
	const hosts, rounds = 20, 10
	database := pgtest.Database(t)
	addr := addresses(t, 6)
	a, b := newProgram(t), newProgram(t)
	a.run("bootstrap", "--database", database, "--gateway-addr", addr[0], "--ca-addr", addr[1])
	b.run("bootstrap", "--database", database, "--keyset-file", filepath.Join(a.dir, "state", "keyset.json"))
	start := func() func() {
		stopA, stopB := a.serve(addr[0], addr[1], addr[2]), b.serve(addr[3], addr[4], addr[5])
		return func() { stopA(); stopB() }
	}
	stop := start()
	authorities := []string{addr[1], addr[4]}
	a.run("tenant", "create", "acme")

	var tokens []string
	for round := range rounds {
		minted := [2]*program{a, b}[round%2].run("onboard", "--tenant", "acme", "--name", fmt.Sprintf("edge-%d", round), "--mode", "token", "--no-input", "-o", "json")
		var answer struct{ Token string }
		if err := json.Unmarshal(minted, &answer); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, answer.Token)
		var won, refused atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for n := range hosts {
			all.Go(func() {
				<-begin
				_, _, err := site(n, authorities[n%2]).Enrol(t.Context(), answer.Token)
				if err == nil {
					won.Add(1)
				} else if forbidden(err) {
					refused.Add(1)
				} else {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		close(begin)
		all.Wait()
		if won.Load() != 1 || refused.Load() != hosts-1 {
			t.Fatalf("round %d: %d hosts were enrolled and %d refused", round, won.Load(), refused.Load())
		}
	}
	stop()
	start()
	for n, token := range tokens {
		for m, ca := range authorities {
			if _, _, err := site(hosts+2*n+m, ca).Enrol(t.Context(), token); !forbidden(err) {
				t.Errorf("token %d at %s after a restart: %v", n, ca, err)
			}
		}
	}
}

func forbidden(err error) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Status == http.StatusForbidden
}
