package faker_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
	"edgesync/syncrun/source/faker"
)

func discover(t *testing.T, settings map[string]string, now time.Time, blacklist ...string) (map[string]payload.Update, source.Discovery) {
	t.Helper()
	adapter, err := faker.New(payload.Source{Settings: settings, NetworkBlacklist: blacklist}, source.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]payload.Update{}
	discovery, err := adapter.Discover(t.Context(), source.Request{}, func(update payload.Update) error {
		if err := update.Validate(now); err != nil {
			t.Errorf("%+v: %v", update, err)
		}
		found[update.Metadata[payload.MetaIntegrationID]] = update
		return nil
	})
	if err != nil || int(discovery.Devices) != len(found) {
		t.Fatalf("%+v, %v", discovery, err)
	}
	return found, discovery
}

var moment = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func TestEqualSeedsMakeEqualDevices(t *testing.T) {
	settings := map[string]string{"devices": "250", "seed": "7"}
	first, discovery := discover(t, settings, moment)
	if want := (source.Discovery{Devices: 250, Total: 250, Mode: payload.ModeSnapshot}); discovery != want {
		t.Errorf("%+v", discovery)
	}
	if again, _ := discover(t, settings, moment); !reflect.DeepEqual(first, again) {
		t.Error("the same seed made other devices")
	}
	if other, _ := discover(t, map[string]string{"devices": "250", "seed": "8"}, moment); other["1"].MAC == first["1"].MAC {
		t.Error("another seed made the same devices")
	}
	if usual, _ := discover(t, nil, moment); len(usual) != faker.DefaultDevices {
		t.Errorf("%d devices when none are asked for", len(usual))
	}
}

func TestChurnGoesByTheClock(t *testing.T) {
	settings := map[string]string{"churn_every": "1h"}
	first, _ := discover(t, settings, moment)
	soon, _ := discover(t, settings, moment.Add(time.Hour-1))
	later, _ := discover(t, settings, moment.Add(time.Hour))
	for id, update := range first {
		if soon[id].IP != update.IP || later[id].IP == update.IP || later[id].MAC != update.MAC {
			t.Errorf("device %s was at %s, %s and %s", id, update.IP, soon[id].IP, later[id].IP)
		}
	}
}

func TestTheNetworkBlacklistHolds(t *testing.T) {
	_, discovery := discover(t, nil, moment, "10.0.0.0/9")
	if discovery.Blacklisted == 0 || discovery.Devices+discovery.Blacklisted != faker.DefaultDevices {
		t.Errorf("%+v", discovery)
	}
}

func TestDiscoverEndsWithEmitAndWithTheCaller(t *testing.T) {
	adapter, err := faker.New(payload.Source{}, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	if discovery, err := adapter.Discover(t.Context(), source.Request{}, func(payload.Update) error { return full }); !errors.Is(err, full) || discovery.Mode == payload.ModeSnapshot {
		t.Errorf("%+v, %v", discovery, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if discovery, err := adapter.Discover(ctx, source.Request{}, func(payload.Update) error { cancel(); return nil }); !errors.Is(err, context.Canceled) || discovery.Devices != 1 {
		t.Errorf("%+v, %v", discovery, err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, bad := range []string{"devices=-1", "devices=1000001", "devices=x", "seed=-1", "seed=x", "churn_every=0s", "churn_every=x"} {
		name, value, _ := strings.Cut(bad, "=")
		if _, err := faker.New(payload.Source{Settings: map[string]string{name: value}}, source.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := faker.New(payload.Source{NetworkBlacklist: []string{"x"}}, source.Options{}); err == nil {
		t.Error("a blacklist of nonsense was accepted")
	}
}
