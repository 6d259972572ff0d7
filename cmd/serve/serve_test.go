package serve_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/serve"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/store/postgres/pgtest"
)

func bootstrapped(t *testing.T) string { return bootstrappedIn(t, "") }

// bootstrappedIn is a state directory whose platform is in a database.
func bootstrappedIn(t *testing.T, database string) string {
	t.Helper()
	dir := t.TempDir()
	connection, err := state.Connect(t.Context(), state.Options{Dir: dir, Database: database, Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Client.Bootstrap(t.Context(), &adminv1.BootstrapRequest{GatewayAddr: "gw.example.com:443"}); err != nil {
		t.Fatal(err)
	}
	if err := connection.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func config(dir string) serve.Config {
	return serve.Config{
		StateDir: dir, Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0",
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

func get(t *testing.T, addr net.Addr, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + addr.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || answer.Body.Close() != nil {
		t.Fatalf("%s answers %s (%v)", path, answer.Status, err)
	}
	return string(body)
}

func TestPlatformInProcess(t *testing.T) {
	dir := bootstrapped(t)
	platform, err := serve.Start(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Admin.CreateTenant(t.Context(), &adminv1.CreateTenantRequest{Slug: "acme"}); err != nil {
		t.Error(err)
	}
	// Another connection goes through the socket, as the directory is held.
	connection, err := state.Connect(t.Context(), state.Options{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	found, err := connection.Client.GetTenant(t.Context(), &adminv1.GetTenantRequest{Slug: "acme"})
	if err != nil || found.GetSlug() != "acme" {
		t.Errorf("through the socket: %v, %v", found, err)
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
	if metrics := get(t, platform.MetricsAddr, "/metrics"); !strings.Contains(metrics, "edgesync_gateway_") || !strings.Contains(metrics, "go_goroutines") {
		t.Errorf("metrics are %q", metrics)
	}
	get(t, platform.MetricsAddr, "/healthz")
	get(t, platform.MetricsAddr, "/readyz")
	platform.Stop()
	if err := platform.Wait(); err != nil {
		t.Error(err)
	}
	// It left the directory free.
	again, err := serve.Start(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	again.Stop()
	if err := again.Wait(); err != nil {
		t.Error(err)
	}
}

// TestReadyWhileTheDatabaseAnswers has the database start anew, and then takes it
// away: the process lives all the while.
func TestReadyWhileTheDatabaseAnswers(t *testing.T) {
	cluster := pgtest.Start(t)
	platform, err := serve.Start(t.Context(), config(bootstrappedIn(t, cluster.Database(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		platform.Stop()
		if err := platform.Wait(); err != nil {
			t.Error(err)
		}
	}()
	await := func(want int) {
		t.Helper()
		for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			begin := time.Now()
			answer, err := http.Get("http://" + platform.MetricsAddr.String() + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode == want {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("/readyz answers %s after %s, want %d", answer.Status, time.Since(begin), want)
			}
		}
		get(t, platform.MetricsAddr, "/healthz")
	}
	await(http.StatusOK)
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	await(http.StatusOK)
	cluster.Stop(t)
	await(http.StatusServiceUnavailable)
}

func TestEndOfContextEndsTheTailOfEvents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	platform, err := serve.Start(ctx, config(bootstrapped(t)))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := platform.Admin.TailEvents(t.Context(), &adminv1.ListEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := platform.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the tail goes on")
	}
}

func TestStartThatFailsLeavesNothingOpen(t *testing.T) {
	dir := bootstrapped(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, change := range []func(*serve.Config){
		func(c *serve.Config) { c.Listen = taken.Addr().String() },
		func(c *serve.Config) { c.MetricsListen = taken.Addr().String() },
	} {
		c := config(dir)
		change(&c)
		if _, err := serve.Start(t.Context(), c); cmdutil.ExitCode(err) != cmdutil.ExitConflict {
			t.Errorf("an address that is taken: %v", err)
		}
	}
	platform, err := serve.Start(t.Context(), config(dir))
	if err != nil {
		t.Fatalf("the directory is not free: %v", err)
	}
	platform.Stop()
	if err := platform.Wait(); err != nil {
		t.Error(err)
	}
}

func TestStartBeforeTheBootstrapIsRefused(t *testing.T) {
	if _, err := serve.Start(t.Context(), config(t.TempDir())); cmdutil.ExitCode(err) != cmdutil.ExitConflict {
		t.Errorf("without a platform: %v", err)
	}
}
