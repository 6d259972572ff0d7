package syncrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

const (
	// testTimeout ends a test of a source.
	testTimeout = 90 * time.Second
	// testEnough is how many devices a test reads at most, of an adapter that
	// has no smaller piece to offer than the whole.
	testEnough = 10_000
	// maxSampleText is the most of one value that is shown.
	maxSampleText = 200
)

// Why a test fails before or beside what the adapters report.
const (
	testSettings = "settings"
	testTimedOut = "timeout"
	testBroken   = "adapter"
)

// errEnough ends a test that has seen what it wanted to see.
var errEnough = errors.New("the test has seen enough")

// testSource reads a little of a source from here, where it runs, without
// touching its schedule.
func (r *Runtime) testSource(ctx context.Context, c *command, order []byte) {
	test, err := payload.DecodeSourceTest(order)
	if err != nil {
		c.end(false, err.Error(), nil)
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, testTimeout, errRunTimeout)
	defer cancel()
	began := r.options.Now()
	stop := r.keepTelling(ctx, c)
	result := r.probe(ctx, test)
	stop()
	result.Milliseconds = r.options.Now().Sub(began).Milliseconds()
	c.end(result.OK, result.Message, result)
}

// keepTelling says that a command lives until the function it returns is called.
func (r *Runtime) keepTelling(ctx context.Context, c *command) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pulse := time.NewTicker(progressPulse)
		defer pulse.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-pulse.C:
				c.progress(0, struct{}{})
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (r *Runtime) probe(ctx context.Context, test payload.SourceTest) payload.SourceTestResult {
	result := payload.SourceTestResult{Total: -1}
	discovery, err := r.sample(ctx, test.Source, &result)
	if err != nil {
		result.Reason, result.Message = explain(ctx, err)
		return result
	}
	result.OK, result.Total = true, discovery.Total
	switch {
	case len(result.Samples) == 0 && discovery.Blacklisted > 0:
		result.Message = fmt.Sprintf("the source answers, and the %d devices looked at are all in the network blacklist", discovery.Blacklisted)
	case len(result.Samples) == 0:
		result.Message = "the source answers and holds no device"
	case discovery.Lacks != "":
		result.Message = cut(oneLine("the source answers, but has no "+discovery.Lacks), maxSaid)
	}
	return result
}

// sample reads the first devices of a source.
func (r *Runtime) sample(ctx context.Context, s payload.Source, result *payload.SourceTestResult) (discovery source.Discovery, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.options.Logger.Error("adapter panicked in a test", "source_type", s.Type, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &testError{testBroken, fmt.Errorf("the %s adapter broke down; report it with the service's log", s.Type)}
		}
	}()
	adapter, err := r.adapterOf(s)
	if err != nil {
		return discovery, err
	}
	seen := 0
	discovery, err = adapter.Discover(ctx, source.Request{Sample: true}, func(u payload.Update) error {
		if seen++; len(result.Samples) < payload.MaxSamples {
			result.Samples = append(result.Samples, sampleOf(u))
		}
		if seen >= testEnough {
			return errEnough
		}
		return ctx.Err()
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return discovery, err
}

// testError is what is wrong where no adapter's error says it.
type testError struct {
	reason string
	error
}

func (e *testError) Unwrap() error { return e.error }

// explain says what kind of thing is wrong, and what.
func explain(ctx context.Context, err error) (reason, message string) {
	var own *testError
	var failed *source.Error
	switch {
	case errors.As(err, &own):
		reason = own.reason
	case errors.As(err, &failed):
		reason = string(failed.Reason)
	case errors.Is(context.Cause(ctx), errRunTimeout):
		return testTimedOut, fmt.Sprintf("the source brought no devices within %s", testTimeout)
	default:
		reason = testBroken
	}
	return reason, cut(oneLine(err.Error()), maxSaid)
}

func sampleOf(u payload.Update) payload.SampleDevice {
	m := u.Metadata
	short := func(text string) string { return cut(oneLine(text), maxSampleText) }
	return payload.SampleDevice{
		NativeID:   short(cmp.Or(m[payload.MetaArmisDeviceID], m[payload.MetaNetBoxDeviceID], m[payload.MetaIntegrationID])),
		Hostname:   short(u.Hostname),
		IP:         short(u.IP),
		MAC:        short(u.MAC),
		DeviceType: short(m[payload.MetaDeviceType]),
		Vendor:     short(m[payload.MetaManufacturer]),
		Model:      short(m[payload.MetaModel]),
	}
}
