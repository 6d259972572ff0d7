// Package faker is a source without a network: devices invented in process from
// a seed, with churn. It takes no endpoint and no credentials; demonstrations
// and tests of everything behind the adapters use it.
package faker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"edgesync/faker/inventory"
	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

// The source's settings.
const (
	// SettingDevices is how many devices there are.
	SettingDevices = "devices"
	// SettingSeed is a whole number; equal seeds make equal devices.
	SettingSeed = "seed"
	// SettingChurnEvery is the duration after which all addresses change.
	SettingChurnEvery = "churn_every"
)

// DefaultDevices is how many devices there are unless a setting says otherwise.
const DefaultDevices = 1000

// Adapter invents the devices of one source.
type Adapter struct {
	inventory inventory.Inventory
	shaper    *source.Shaper
	devices   int
	churn     time.Duration
	now       func() time.Time
}

// New makes the adapter of a source, or says which setting is wrong.
func New(config payload.Source, options source.Options) (source.Adapter, error) {
	adapter := &Adapter{devices: DefaultDevices, now: options.Now}
	if adapter.now == nil {
		adapter.now = time.Now
	}
	var seed uint64
	var err error
	if text := config.Settings[SettingDevices]; text != "" {
		adapter.devices, err = strconv.Atoi(text)
		if err != nil || adapter.devices < 0 || adapter.devices > inventory.MaxDevices {
			return nil, fmt.Errorf("read setting %s: it must be a whole number from 0 to %d", SettingDevices, inventory.MaxDevices)
		}
	}
	if text := config.Settings[SettingSeed]; text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, fmt.Errorf("read setting %s: it must be a whole number, not negative", SettingSeed)
		}
	}
	if text := config.Settings[SettingChurnEvery]; text != "" {
		if adapter.churn, err = time.ParseDuration(text); err != nil || adapter.churn <= 0 {
			return nil, fmt.Errorf("read setting %s: it must be a duration such as 1h", SettingChurnEvery)
		}
	}
	adapter.inventory = inventory.New(seed)
	if adapter.shaper, err = source.NewShaper(config, payload.TypeFaker, options); err != nil {
		return nil, err
	}
	return adapter, nil
}

// Discover invents all devices. Which epoch of churn they are in depends on the
// time alone, so it goes on across restarts.
func (a *Adapter) Discover(ctx context.Context, request source.Request, emit func(payload.Update) error) (source.Discovery, error) {
	found := source.Discovery{Total: int64(a.devices), Mode: payload.ModeIncremental}
	epoch := uint64(0)
	if a.churn > 0 {
		epoch = uint64(max(0, a.now().UnixNano()) / int64(a.churn))
	}
	if request.Lookup != nil {
		return found, a.look(ctx, request.Lookup, epoch)
	}
	for index := range a.devices {
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		update, ok := a.shaper.Update(shape(a.inventory.Device(inventory.Plain, index, epoch)))
		if !ok {
			found.Blacklisted++
			continue
		}
		if err := emit(update); err != nil {
			return found, err
		}
		found.Devices++
	}
	found.Mode = payload.ModeSnapshot
	return found, nil
}

// page is how many devices a lookup sees as one page.
const page = 1000

func (a *Adapter) look(ctx context.Context, lookup *source.Lookup, epoch uint64) error {
	for first := 0; first < a.devices; first += page {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := lookup.Page(a.shaper, "devices", first/page+1, min(page, a.devices-first), func(i int) (source.Device, bool) {
			return shape(a.inventory.Device(inventory.Plain, first+i, epoch)), true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func shape(device inventory.Device) source.Device {
	return source.Device{
		NativeID:     strconv.Itoa(device.Index + 1),
		Name:         device.Name,
		IPs:          device.Addresses,
		MACs:         device.MACs,
		Offline:      device.Offline,
		Serial:       device.Serial,
		Manufacturer: device.Manufacturer,
		Model:        device.Model,
		OS:           device.OS,
		Type:         device.Type,
		Site:         device.Site,
		Tags:         device.Tags,
	}
}
