package core

import (
	"context"
	"errors"
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

// Devices hands over the devices that match, tenant by tenant and in the order
// of their ids, until yield returns an error.
func (c *Core) Devices(ctx context.Context, query DeviceQuery, yield func(DeviceView) error) error {
	left := query.Limit
	return c.eachMatching(ctx, query, func(s scope, tx TenantTx, filter DeviceFilter, names sourceNames) error {
		if query.Limit > 0 {
			if left == 0 {
				return nil
			}
			filter.Limit = left
		}
		return tx.Devices(ctx, filter, func(device dire.Device) error {
			left--
			return yield(names.device(device, s.tenant))
		})
	})
}

// CountDevices counts the devices that match, whatever the limit.
func (c *Core) CountDevices(ctx context.Context, query DeviceQuery) (int64, error) {
	var total int64
	err := c.eachMatching(ctx, query, func(_ scope, tx TenantTx, filter DeviceFilter, _ sourceNames) error {
		n, err := tx.CountDevices(ctx, filter)
		total += n
		return err
	})
	return total, err
}

// eachMatching runs visit on each tenant a query is about, with the query as the
// tenant's store takes it.
func (c *Core) eachMatching(ctx context.Context, query DeviceQuery, visit func(scope, TenantTx, DeviceFilter, sourceNames) error) error {
	filter := DeviceFilter{Search: query.Search}
	switch query.State {
	case "", DeviceActive, DeviceRetracted:
		filter.State = query.State
		if filter.State == "" {
			filter.State = DeviceActive
		}
	case DeviceAny:
	default:
		return invalid("list devices: the state %q is none of %s, %s, %s", clean(query.State, maxName), DeviceActive, DeviceRetracted, DeviceAny)
	}
	switch {
	case query.Limit < 0:
		return invalid("list devices: the limit %d is negative", query.Limit)
	case query.Source != "" && query.Tenant == "":
		return invalid("list devices: a source is named, but not its tenant: name that too (--tenant)")
	}
	if err := validText("search", query.Search, maxHelloText); err != nil {
		return err
	}
	return c.scopes(ctx, query.Tenant, func(s scope) error {
		return s.store.View(ctx, func(tx TenantTx) error {
			names, err := namesOf(ctx, tx)
			if err != nil {
				return fmt.Errorf("list sources of tenant %s: %w", s.tenant.Slug, err)
			}
			if filter.Source, err = assertionSource(ctx, tx, s.tenant, query.Source); err != nil {
				return err
			}
			return visit(s, tx, filter, names)
		})
	})
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
		device, assertions, err := tx.Device(ctx, id)
		if err != nil {
			return err
		}
		detail = DeviceDetail{DeviceView: names.device(device, s.tenant)}
		for _, assertion := range assertions {
			detail.Assertions = append(detail.Assertions, AssertionView{assertion, names.name(assertion.Source)})
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return DeviceDetail{}, notFound("find device %q of tenant %s: there is none", clean(id, maxName), slug)
	}
	if err != nil {
		return DeviceDetail{}, fmt.Errorf("find device of tenant %s: %w", slug, err)
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
