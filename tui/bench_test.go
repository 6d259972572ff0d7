package tui

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"google.golang.org/grpc"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/live"
)

// busy is a platform of a million devices that records a thousand events and
// takes in ten thousand updates a second. It is another process in the real
// world: what it does here costs as little as it can.
type busy struct {
	*platform
	events int
}

// answering is how long a search of a million devices takes the platform.
const answering = 300 * time.Millisecond

// ListDevices answers with the first of the million.
func (b *busy) ListDevices(ctx context.Context, in *adminv1.ListDevicesRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.Device], error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(answering):
	}
	return &deviceStream{devices: b.devices[:min(int(in.GetLimit()), len(b.devices))]}, nil
}

func (b *busy) CountDevices(context.Context, *adminv1.ListDevicesRequest, ...grpc.CallOption) (*adminv1.CountDevicesResponse, error) {
	return &adminv1.CountDevicesResponse{Count: 1_000_000}, nil
}

type watchStream struct {
	grpc.ClientStream
	context context.Context
	every   *time.Ticker
	events  int
	n       int
	first   bool
}

func (w *watchStream) Recv() (*adminv1.WatchUpdate, error) {
	snapshot := fullPlatform()
	if !w.first {
		w.first = true
		return &adminv1.WatchUpdate{Platform: snapshot.Platform, Tenants: snapshot.Tenants, PlatformServices: snapshot.Shared, PlatformServicesChanged: true, Events: snapshot.Events}, nil
	}
	select {
	case <-w.context.Done():
		return nil, w.context.Err()
	case <-w.every.C:
	}
	// As the platform tells it, and five times as often.
	update := &adminv1.WatchUpdate{Tenants: snapshot.Tenants}
	for range w.events / 25 {
		w.n++
		event := snapshot.Events[w.n%len(snapshot.Events)]
		update.Events = append(update.Events, &adminv1.Event{Id: fmt.Sprint("new-", w.n), Time: event.Time, Tenant: event.Tenant, Type: event.Type, Severity: event.Severity, Message: event.Message})
	}
	for _, tenant := range update.Tenants {
		tenant.UpdatesReceived = int64(w.n) * 10
	}
	return update, nil
}

func (b *busy) Watch(ctx context.Context, _ *adminv1.WatchRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.WatchUpdate], error) {
	return &watchStream{context: ctx, every: time.NewTicker(40 * time.Millisecond), events: b.events}, nil
}

// display is a terminal's other end: it says when something was drawn.
type display struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan time.Time
}

func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	d.text.Write(p)
	d.mu.Unlock()
	select {
	case d.written <- time.Now():
	default:
	}
	return len(p), nil
}

func (d *display) holds(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Contains(d.text.Bytes(), []byte(text))
}

func (d *display) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text.Reset()
}

// show runs the program against a display of 120 × 40.
func show(b testing.TB, client adminv1.AdminClient) (*tea.Program, *display, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	feed := live.NewFeed(client, "", time.Now)
	out := &display{written: make(chan time.Time, 1)}
	keys, typing := io.Pipe()
	program := tea.NewProgram(newModel(ctx, Options{Client: client, Now: time.Now}, feed), tea.WithContext(ctx), tea.WithInput(keys), tea.WithOutput(out),
		tea.WithWindowSize(120, 40), tea.WithFPS(FramesPerSecond), tea.WithoutSignalHandler(), tea.WithColorProfile(colorprofile.ANSI),
		tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	var running sync.WaitGroup
	running.Go(func() { feed.Run(ctx) })
	running.Go(func() {
		if _, err := program.Run(); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	})
	return program, out, func() { program.Quit(); cancel(); _ = typing.Close(); running.Wait() }
}

func (d *display) waitFor(b testing.TB, text string) {
	deadline := time.Now().Add(10 * time.Second)
	for !d.holds(text) {
		if time.Now().After(deadline) {
			b.Fatalf("%q was not drawn", text)
		}
		select {
		case <-d.written:
		case <-time.After(time.Millisecond):
		}
	}
}

// BenchmarkKeyToRedraw presses keys of the list of a million devices while a
// thousand events a second arrive, and takes the time until something is drawn
// that was not there before. The limit is 16 ms for 99 of 100 keys.
func BenchmarkKeyToRedraw(b *testing.B) {
	const limit = 16 * time.Millisecond
	client := &busy{&platform{devices: manyDevices(20_000)}, 1000}
	program, out, stop := show(b, client)
	defer stop()
	out.waitFor(b, "live")
	program.Send(tea.KeyPressMsg{Code: '4', Text: "4"})
	out.waitFor(b, "host-0000000")
	program.Send(tea.KeyPressMsg{Code: '/', Text: "/"})
	out.waitFor(b, "to the list")
	var took []time.Duration
	letters := "0123456789abcdef"
	for i := 0; b.Loop(); i++ {
		// The letter typed is drawn where the search is; a marker no other drawing
		// has would need a terminal, so the first drawing after the key counts.
		out.reset()
		select {
		case <-out.written:
		default:
		}
		began := time.Now()
		key := tea.KeyPressMsg{Code: rune(letters[i%16]), Text: letters[i%16 : i%16+1]}
		if i%24 == 23 {
			key = tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl}
		}
		program.Send(key)
		took = append(took, (<-out.written).Sub(began))
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(p99)/float64(limit), "of-limit")
}

// BenchmarkStart takes the time from the start to the first frame that has all
// the platform told.
func BenchmarkStart(b *testing.B) {
	const limit = 150 * time.Millisecond
	client := &busy{&platform{devices: manyDevices(1000)}, 1000}
	var total time.Duration
	for b.Loop() {
		began := time.Now()
		_, out, stop := show(b, client)
		out.waitFor(b, "1,235,457")
		total += time.Since(began)
		stop()
	}
	mean := total / time.Duration(b.N)
	b.ReportMetric(float64(mean.Microseconds())/1000, "first-frame-ms")
	b.ReportMetric(float64(mean)/float64(limit), "of-limit")
}

// BenchmarkUpdateAndView is the model alone: a key and the screen it makes.
func BenchmarkUpdateAndView(b *testing.B) {
	for _, page := range []string{"1", "2", "4", "5"} {
		b.Run("page"+page, func(b *testing.B) {
			s := newScreen(b, &platform{devices: manyDevices(20_000)}, 120, 40)
			s.live(fullPlatform())
			s.press(page)
			for b.Loop() {
				s.model.Update(tea.KeyPressMsg{Code: tea.KeyDown})
				_ = s.model.screen()
			}
		})
	}
}
