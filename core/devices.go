package core

import (
	"context"
	"fmt"

	"edgesync/dire"
)

// The states of a DeviceQuery.
const (
	DeviceActive    = "active"
	DeviceRetracted = "retracted"
	DeviceAny       = "all"
)

// DeviceQuery narrows Devices and CountDevices.
type DeviceQuery struct {
	// Tenant is a slug; empty means every tenant.
	Tenant string
	// Source is a source's name or id, and needs a tenant.
	Source string
	// Search is part of an address, MAC, hostname or id.
	Search string
	// State is DeviceActive, the default, DeviceRetracted or DeviceAny.
	State string
	// Limit 0 means no limit.
	Limit int64
}

// DeviceView is a canonical device as operators see it.
type DeviceView struct {
	dire.Device
	Tenant Tenant
	// SourceNames are Device.Sources as operators call them.
	SourceNames []string
}

// DeviceDetail is a device with all that is asserted of it.
type DeviceDetail struct {
	DeviceView
	Assertions []AssertionView
}

// AssertionView is what one source says of a device.
type AssertionView struct {
	dire.Assertion
	// SourceName is Assertion.Source as operators call it.
	SourceName string
}

// Devices hands over the devices that match, tenant by tenant and in an order
// that stays, until yield returns an error.
func (c *Core) Devices(ctx context.Context, query DeviceQuery, yield func(DeviceView) error) error {
	filter, err := query.filter()
	if err != nil {
		return err
	}
	left := query.Limit
	return c.scopes(ctx, query.Tenant, func(s scope) error {
		for filter.After = ""; query.Limit == 0 || left > 0; {
			if filter.Limit = pageSize(filter); query.Limit > 0 {
				filter.Limit = min(filter.Limit, left)
			}
			page, err := devicePage(ctx, s, query.Source, filter)
			if err != nil {
				return err
			}
			for _, device := range page {
				if err := yield(device); err != nil {
					return err
				}
			}
			if left -= int64(len(page)); int64(len(page)) < filter.Limit {
				return nil
			}
			filter.After = page[len(page)-1].ID
		}
		return nil
	})
}

// pageSize is how many devices are read at once. They are handed over between
// the reads, so that a slow reader keeps nothing in the store waiting. A search
// may have to look at much for each page, so its pages are larger.
func pageSize(filter DeviceFilter) int64 {
	if filter.Search != "" {
		return 10_000
	}
	return 1_000
}

func devicePage(ctx context.Context, s scope, source string, filter DeviceFilter) ([]DeviceView, error) {
	var page []DeviceView
	err := s.store.View(ctx, func(tx TenantTx) error {
		page = nil
		names, err := namesOf(ctx, tx)
		if err != nil {
			return err
		}
		if filter.Source, err = assertionSource(ctx, tx, s.tenant, source); err != nil {
			return err
		}
		return tx.Devices(ctx, filter, func(device dire.Device) error {
			page = append(page, names.device(device, s.tenant))
			return nil
		})
	})
	if err != nil {
		return nil, doing(err, "list devices of tenant %s", s.tenant.Slug)
	}
	return page, nil
}

// CountDevices counts the devices that match, whatever the limit.
func (c *Core) CountDevices(ctx context.Context, query DeviceQuery) (int64, error) {
	filter, err := query.filter()
	if err != nil {
		return 0, err
	}
	var total int64
	err = c.scopes(ctx, query.Tenant, func(s scope) error {
		var n int64
		err := s.store.View(ctx, func(tx TenantTx) (err error) {
			if filter.Source, err = assertionSource(ctx, tx, s.tenant, query.Source); err == nil {
				n, err = tx.CountDevices(ctx, filter)
			}
			return err
		})
		total += n
		if err != nil {
			return doing(err, "count devices of tenant %s", s.tenant.Slug)
		}
		return nil
	})
	return total, err
}

// filter is the query as a store takes it, but for the source, which each
// tenant's store knows by another id.
func (q DeviceQuery) filter() (DeviceFilter, error) {
	filter := DeviceFilter{Search: q.Search, State: q.State}
	switch q.State {
	case DeviceActive, DeviceRetracted:
	case "":
		filter.State = DeviceActive
	case DeviceAny:
		filter.State = ""
	default:
		return filter, invalid("list devices: the state %q is none of %s, %s, %s", clean(q.State, maxName), DeviceActive, DeviceRetracted, DeviceAny)
	}
	switch {
	case q.Limit < 0:
		return filter, invalid("list devices: the limit %d is negative", q.Limit)
	case q.Source != "" && q.Tenant == "":
		return filter, invalid("list devices: a source is named, but not its tenant: name that too (--tenant)")
	}
	if err := validText("search", q.Search, maxHelloText); err != nil {
		return filter, err
	}
	return filter, nil
}

// assertionSource is a source as assertions name it.
func assertionSource(ctx context.Context, tx TenantTx, tenant Tenant, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	source, err := findSource(ctx, tx, tenant, ref)
	if err != nil {
		return "", err
	}
	return source.ID.String(), nil
}

// Device finds a device by its id, or by an id that redirects to it.
func (c *Core) Device(ctx context.Context, slug, id string) (DeviceDetail, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return DeviceDetail{}, err
	}
	var detail DeviceDetail
	err = s.store.View(ctx, func(tx TenantTx) error {
		names, err := namesOf(ctx, tx)
		if err != nil {
			return fmt.Errorf("list sources of tenant %s: %w", slug, err)
		}
		detail, err = deviceDetail(ctx, tx, s.tenant, names, id)
		return err
	})
	if err != nil {
		return DeviceDetail{}, noDevice(err, slug, id)
	}
	return detail, nil
}

// sourceNames are a tenant's sources by what assertions call them.
type sourceNames map[string]string

func namesOf(ctx context.Context, tx TenantTx) (sourceNames, error) {
	sources, err := tx.Sources(ctx)
	names := make(sourceNames, len(sources))
	for _, source := range sources {
		names[source.ID.String()] = source.Name
	}
	return names, err
}

// name is what operators call an assertion's source. One without a record, or
// whose record is removed, keeps what it is scoped by.
func (n sourceNames) name(source string) string {
	if name, ok := n[source]; ok {
		return name
	}
	return source
}

func (n sourceNames) device(device dire.Device, tenant Tenant) DeviceView {
	view := DeviceView{Device: device, Tenant: tenant, SourceNames: make([]string, len(device.Sources))}
	for i, source := range device.Sources {
		view.SourceNames[i] = n.name(source)
	}
	return view
}
