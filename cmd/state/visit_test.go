package state_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"edgesync/admin"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
)

// platformDir is a directory with a platform in it that nobody has open.
func platformDir(t *testing.T) string {
	t.Helper()
	// The path of the socket in it must be short.
	dir := filepath.Join(t.TempDir(), "s")
	made := connect(t, state.Options{Dir: dir, Create: true})
	if _, err := made.Client.Bootstrap(t.Context(), &adminv1.BootstrapRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func visit(t *testing.T, dir string) *state.Visitor {
	t.Helper()
	v, err := state.Visit(t.Context(), state.Options{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// serve serves the platform of a directory on its socket until stop is called.
func serve(t *testing.T, dir string) (stop func()) {
	t.Helper()
	opened, err := state.Open(t.Context(), state.Options{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := admin.Listen(state.Socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.NewServer(opened.Core, nil).Serve(ctx, listener) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestWhoLooksAtAPlatformKeepsNobodyFromServingIt follows a platform that nobody
// serves, then somebody does, then nobody again.
func TestWhoLooksAtAPlatformKeepsNobodyFromServingIt(t *testing.T) {
	dir := platformDir(t)
	v := visit(t, dir)
	client := v.Client()
	stream, err := client.Watch(t.Context(), &adminv1.WatchRequest{Events: 10})
	if err != nil {
		t.Fatal(err)
	}
	tenants := func() map[string]bool {
		t.Helper()
		update, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, tenant := range update.GetTenants() {
			found[tenant.GetTenant().GetSlug()] = true
		}
		return found
	}
	if found := tenants(); !found["platform"] || !v.Local() {
		t.Fatalf("the first look: %v, local %v", found, v.Local())
	}
	if _, err := client.CreateTenant(t.Context(), &adminv1.CreateTenantRequest{Slug: "acme"}); err != nil {
		t.Fatal(err)
	}
	for !tenants()["acme"] { // A call made here is followed by a look.
	}

	stop := serve(t, dir)
	other, err := state.Connect(t.Context(), state.Options{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Client.CreateTenant(t.Context(), &adminv1.CreateTenantRequest{Slug: "globex"}); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	for !tenants()["globex"] {
	}
	if v.Local() {
		t.Error("calls are not made on who serves it")
	}
	stop()
	for err == nil { // It says so.
		_, err = stream.Recv()
	}
	answer, err := client.ListTenants(t.Context(), &adminv1.ListTenantsRequest{})
	if err != nil || len(answer.GetTenants()) != 3 || !v.Local() {
		t.Errorf("after it is served no more: %v, %v, local %v", answer, err, v.Local())
	}
}

func TestEventsAreFollowedWhileNobodyServes(t *testing.T) {
	dir := platformDir(t)
	v := visit(t, dir)
	tail, err := v.Client().TailEvents(t.Context(), &adminv1.ListEventsRequest{Type: "tenant."})
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan *adminv1.Event)
	go func() {
		defer close(next)
		for {
			event, err := tail.Recv()
			if err != nil {
				return
			}
			next <- event
		}
	}()
	// The tail begins with its first look, which is not to be waited for here.
	slugs := []string{"a", "b", "c"}
	create := func(slug string) {
		if _, err := v.Client().CreateTenant(t.Context(), &adminv1.CreateTenantRequest{Slug: slug}); err != nil {
			t.Error(err)
		}
	}
	create(slugs[0])
	if event := <-next; event.GetTenant() != "a" {
		t.Fatalf("got %v", event)
	}
	create(slugs[1])
	if event := <-next; event.GetTenant() != "b" {
		t.Fatalf("got %v", event)
	}
	stop := serve(t, dir)
	create(slugs[2])
	if event := <-next; event.GetTenant() != "c" {
		t.Fatalf("got %v", event)
	}
	stop()
	if event, open := <-next; open {
		t.Errorf("got %v after the end", event)
	}
}
