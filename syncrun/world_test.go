package syncrun_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"edgesync/onboarding"
	"edgesync/proto/payload"
	"edgesync/syncrun"
	"edgesync/syncrun/source"
)

// world is a runtime with its fake gateway.
type world struct {
	t       testing.TB
	gateway *fakeGateway
	options syncrun.Options
	// adapters by the endpoint of their source; asked is each one's requests.
	adapters map[string]adapterFunc
	asked    map[string][]source.Request
	made     []string
	cancel   context.CancelFunc
	done     chan error

	mu     sync.Mutex
	events []syncrun.Event
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, gateway: newFakeGateway(), adapters: map[string]adapterFunc{}, asked: map[string][]source.Request{}, done: make(chan error, 1)}
	w.options = syncrun.Options{
		Config:    onboarding.MinimalConfig{AgentID: "hq-sync", Partition: "default", GatewayAddr: "gateway:50052"},
		Transport: insecure.NewCredentials(), Dial: w.gateway.dial, DataDir: dataDir(t),
		Adapters: map[string]syncrun.NewAdapter{"fake": w.adapter},
		Logger:   slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(e syncrun.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	return w
}

// dataDir is a directory in memory, where there is one: what most of these tests
// would wait for is the disk. That it holds what it was given is for others.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "edgesync-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// large is a run of about ten chunks.
const large = 2000

// chunked makes runs of large devices ones of many chunks.
func (w *world) chunked() { w.options.ChunkTarget = payload.ChunkTarget / 10 }

func (w *world) adapter(s payload.Source, _ source.Options) (source.Adapter, error) {
	w.made = append(w.made, s.Endpoint)
	a, ok := w.adapters[s.Endpoint]
	if !ok {
		return nil, fmt.Errorf("read endpoint: %q is none", s.Endpoint)
	}
	return listening{a, w, s.Endpoint}, nil
}

// configure gives the runtime one source per adapter that was named.
func (w *world) configure(names ...string) map[string]payload.Source {
	sources := map[string]payload.Source{}
	for _, name := range names {
		sources[name] = payload.Source{Type: "fake", Endpoint: name, TenantID: "tenant-" + name, TenantSlug: name}
	}
	w.gateway.configure(payload.ScopeTenant, sources)
	return sources
}

func (w *world) run() *syncrun.Runtime {
	runtime, err := syncrun.New(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.done <- runtime.Run(ctx) }()
	return runtime
}

// stop ends the runtime, which must leave nothing behind.
func (w *world) stop() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Errorf("run: %v", err)
	}
	w.gateway.kill()
	w.wantNoSpool()
}

func (w *world) wantNoSpool() {
	w.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(w.options.DataDir, "outbox", "*.part")); len(left) != 0 {
		w.t.Errorf("left unfinished runs %v", left)
	}
}

// ended returns the results of a source's runs, in order.
func (w *world) ended(key string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, e := range w.events {
		if e.Kind == syncrun.RunEnded && e.Source == key {
			list = append(list, e.Result)
		}
	}
	return list
}

func (w *world) count(kind syncrun.Kind, key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Kind == kind && e.Source == key {
			n++
		}
	}
	return n
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// simulate runs a test on a clock of its own, which moves when all else waits,
// beside other tests.
func simulate(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	simulateAlone(t, test)
}

func simulateAlone(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

// pass lets simulated time go by and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
