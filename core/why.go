package core

import (
	"context"
	"errors"
	"fmt"

	"edgesync/dire"
)

// maxDecisions is how many decisions of a device are shown, the latest.
const maxDecisions = 1_000

// DeviceWhy is a device with the reasons for what it is.
type DeviceWhy struct {
	DeviceDetail
	dire.Explanation
	// Fields tell which assertion each value of the record comes from.
	Fields []dire.FieldValue
	// Decisions are those about its assertions, the oldest first.
	Decisions []dire.Decision

	names sourceNames
}

// Name is what operators call the source of an assertion.
func (w *DeviceWhy) Name(source string) string { return w.names.name(source) }

// Why explains a device, by its id or by an id that redirects to it.
func (c *Core) Why(ctx context.Context, slug, id string) (DeviceWhy, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return DeviceWhy{}, err
	}
	var why DeviceWhy
	err = s.store.View(ctx, func(tx TenantTx) (err error) {
		if why.names, err = namesOf(ctx, tx); err != nil {
			return fmt.Errorf("list sources of tenant %s: %w", slug, err)
		}
		if why.DeviceDetail, err = deviceDetail(ctx, tx, s.tenant, why.names, id); err != nil {
			return err
		}
		var homes []string
		var assertions []dire.Assertion
		for _, a := range why.Assertions {
			homes, assertions = append(homes, a.HomeID), append(assertions, a.Assertion)
		}
		why.Fields = dire.Fields(assertions)
		if why.Decisions, err = tx.Decisions(ctx, homes, maxDecisions); err != nil {
			return err
		}
		probe := c.rules.ProbeAround(homes...)
		neighbourhood, err := tx.Neighbourhood(ctx, probe)
		if err != nil {
			return fmt.Errorf("read neighbourhood: %w", err)
		}
		why.Explanation = c.rules.Explain(probe, neighbourhood)
		return nil
	})
	if err != nil {
		return DeviceWhy{}, noDevice(err, slug, id)
	}
	return why, nil
}

func deviceDetail(ctx context.Context, tx TenantTx, tenant Tenant, names sourceNames, id string) (DeviceDetail, error) {
	device, assertions, err := tx.Device(ctx, id)
	if err != nil {
		return DeviceDetail{}, err
	}
	detail := DeviceDetail{DeviceView: names.device(device, tenant)}
	for _, assertion := range assertions {
		detail.Assertions = append(detail.Assertions, AssertionView{assertion, names.name(assertion.Source)})
	}
	return detail, nil
}

// noDevice tells of a device that could not be read.
func noDevice(err error, slug, id string) error {
	if errors.Is(err, ErrNotFound) {
		return notFound("find device %q of tenant %s: there is none", clean(id, maxName), slug)
	}
	return fmt.Errorf("find device of tenant %s: %w", slug, err)
}

// DuplicateView is something several devices of a tenant share.
type DuplicateView struct {
	Duplicate
	Tenant Tenant
}

// Duplicates lists what several devices share and is no reason to be one, of a
// tenant or of all. Limit 0 means no limit, for each tenant.
func (c *Core) Duplicates(ctx context.Context, slug string, limit int) ([]DuplicateView, error) {
	if limit < 0 {
		return nil, invalid("list duplicates: the limit %d is negative", limit)
	}
	var found []DuplicateView
	err := c.scopes(ctx, slug, func(s scope) error {
		return s.store.View(ctx, func(tx TenantTx) error {
			duplicates, err := tx.Duplicates(ctx, limit)
			for _, d := range duplicates {
				found = append(found, DuplicateView{d, s.tenant})
			}
			return err
		})
	})
	return found, err
}

// RuleChange is how the rules of a simulation differ from those of today.
type RuleChange struct {
	// JunkSerials and JunkManufacturers name nothing any more; TrustedSerials do,
	// though they are on the list of junk.
	JunkSerials, JunkManufacturers, TrustedSerials []string
	// IgnoredMACs are MACs, or beginnings of some, that link nobody.
	IgnoredMACs   []string
	IgnoreSerials bool
}

// Simulate groups all that a tenant's sources assert anew, under changed rules,
// and changes nothing.
func (c *Core) Simulate(ctx context.Context, slug string, change RuleChange) (dire.Regrouping, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return dire.Regrouping{}, err
	}
	rules, err := change.rules()
	if err != nil {
		return dire.Regrouping{}, err
	}
	simulation := rules.Simulate()
	var links []dire.Link
	err = s.store.View(ctx, func(tx TenantTx) (err error) {
		if links, err = tx.Links(ctx); err != nil {
			return err
		}
		return tx.Assertions(ctx, func(a dire.Assertion) error {
			simulation.Add(a)
			return ctx.Err()
		})
	})
	if err != nil {
		return dire.Regrouping{}, fmt.Errorf("simulate rules of tenant %s: %w", slug, err)
	}
	return simulation.Run(links, c.rules), nil
}

func (change RuleChange) rules() (dire.Rules, error) {
	rules := dire.DefaultRules()
	set := func(what string, list map[string]bool, values []string, to bool) error {
		for _, value := range values {
			spelled := dire.JunkSpelling(value)
			if spelled == "" {
				return invalid("simulate rules: the %s %q has no letter and no digit", what, clean(value, maxName))
			}
			list[spelled] = to
		}
		return nil
	}
	for _, one := range []error{
		set("serial number", rules.JunkSerials, change.JunkSerials, true),
		set("serial number", rules.JunkSerials, change.TrustedSerials, false),
		set("manufacturer", rules.JunkManufacturers, change.JunkManufacturers, true),
	} {
		if one != nil {
			return dire.Rules{}, one
		}
	}
	for _, value := range change.IgnoredMACs {
		prefix, ok := dire.MACPrefix(value)
		if !ok {
			return dire.Rules{}, invalid("simulate rules: %q is neither a MAC nor the beginning of one, such as 00:50:56", clean(value, maxName))
		}
		rules.IgnoredMACs = append(rules.IgnoredMACs, prefix)
	}
	rules.IgnoreSerials = change.IgnoreSerials
	return rules, nil
}
