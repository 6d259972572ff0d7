package run

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/manager"
	"edgesync/syncrun"
)

type state struct{ err error }

func (s state) Healthy(time.Duration) error { return s.err }

func TestHealthTellsWhetherTheRuntimeWorks(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{{nil, 200}, {errors.New("nothing moved"), 503}} {
		answer := httptest.NewRecorder()
		watchHandler(state{c.err}).ServeHTTP(answer, httptest.NewRequest("GET", "/healthz", nil))
		if answer.Code != c.code {
			t.Errorf("%v answers %d", c.err, answer.Code)
		}
	}
	answer := httptest.NewRecorder()
	watchHandler(state{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(answer.Body.String(), "go_goroutines") {
		t.Error("no metrics")
	}
}

// listening is a service manager's socket.
func listening(t *testing.T) (*net.UnixConn, func(string) (string, bool)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, func(name string) (string, bool) {
		value, ok := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"}[name]
		return value, ok
	}
}

func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestServiceManagerIsTold(t *testing.T) {
	conn, env := listening(t)
	n := newNotifier(env)
	n.Tell("READY=1")
	if got := heard(t, conn); got != "READY=1" {
		t.Errorf("told %q", got)
	}
	n.observe(syncrun.Event{Kind: syncrun.Disconnected, Detail: "refused\nby\x1b[31m it"})
	got := heard(t, conn)
	if !strings.HasPrefix(got, "STATUS=") || !strings.Contains(got, "away") || strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("told %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { watchdog(ctx, n, state{}); close(done) }()
	if got := heard(t, conn); got != "WATCHDOG=1" {
		t.Errorf("told %q", got)
	}
	cancel()
	<-done
}

func TestRuntimeThatHangsIsNotSaidToWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{Notifier: manager.Notifier{Socket: filepath.Join(t.TempDir(), "nobody"), Watchdog: time.Second}}
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		go watchdog(ctx, n, counting{&asked})
		time.Sleep(10 * time.Second)
		cancel()
		synctest.Wait()
		if asked < 18 {
			t.Errorf("asked %d times in ten seconds", asked)
		}
	})
}

type counting struct{ asked *int }

func (c counting) Healthy(time.Duration) error { *c.asked++; return errors.New("hangs") }

func TestWithoutAManagerNothingIsSaid(*testing.T) {
	n := newNotifier(func(string) (string, bool) { return "", false })
	n.Tell("READY=1")
	n.observe(syncrun.Event{Kind: syncrun.Connected})
	watchdog(context.Background(), n, state{})
}

func TestProgressIsDrawnWithTheLogAbove(t *testing.T) {
	streams, _, screen := cmdutil.TestStreams("")
	streams.ErrTerminal, streams.Width = true, func() int { return 120 }
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := newBoard(&cmdutil.Factory{IO: streams, Now: func() time.Time { return now }})
	defer b.End()
	b.observe(syncrun.Event{Kind: syncrun.Connected})
	b.observe(syncrun.Event{Kind: syncrun.Configured, Sources: []syncrun.ConfiguredSource{
		{Source: "main", Tenant: "acme"}, {Source: "globex/lab", Tenant: "globex"}, {Source: "bad\x1b[2J\rname", Tenant: "x"}, {Source: "gone"},
	}})
	b.observe(syncrun.Event{Kind: syncrun.Configured, Sources: []syncrun.ConfiguredSource{
		{Source: "main", Tenant: "acme"}, {Source: "globex/lab", Tenant: "globex"}, {Source: "bad\x1b[2J\rname", Tenant: "x"},
	}})
	b.observe(syncrun.Event{Kind: syncrun.RunStarted, Source: "main", Time: now})
	b.observe(syncrun.Event{Kind: syncrun.Discovered, Source: "main", Devices: 250, Total: 1000, Time: now})
	b.observe(syncrun.Event{Kind: syncrun.RunEnded, Source: "globex/lab", Result: "failed", Detail: "status 500", Time: now})
	if _, err := b.Write([]byte("level=WARN msg=hello\n")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"level=WARN msg=hello\ngateway connected · 3 sources, 1 at work, 1 failing\n", "acme/main", "reading", "25%  250 of 1,000 devices", "globex/lab", "status 500"} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("%q is not in\n%s", want, screen.String())
		}
	}
	if text := screen.String(); strings.Contains(text, "\x1b[2J") || strings.Contains(text, "\r") || strings.Contains(text, "gone") {
		t.Errorf("drew %q", text)
	}
	screen.Reset()
	if _, err := b.Write(nil); err != nil {
		t.Fatal(err)
	}
	if text := screen.String(); !strings.HasPrefix(text, "\x1b[4A\r\x1b[Jgateway") {
		t.Errorf("drew %q over it", text)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]size{
		"1GiB": 1 << 30, "1.5 GiB": 3 << 29, "512MiB": 512 << 20, "2g": 2 << 30, "20MB": 20e6, "33554432": 32 << 20, "16777216B": 16 << 20,
	} {
		var s size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%s is %d: %v", text, s, err)
		}
	}
	for _, text := range []string{"", "1", "GiB", "-1GiB", "NaNGiB", "1e300GiB", "ten MiB", "15MiB"} {
		if err := new(size).Set(text); err == nil {
			t.Errorf("%q is taken for a size", text)
		}
	}
	if s := size(1 << 30); s.String() != "1GiB" {
		t.Errorf("1 GiB is written %s", s.String())
	}
}
