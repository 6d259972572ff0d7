package core

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"edgesync/dire"
)

// maxPairs bounds the pairs one change of an operator makes.
const maxPairs = 1_000

// MergeDevices makes devices one, and keeps them one whatever their sources say.
// What an operator kept apart before is joined again by that alone where it is
// enough. It returns the device they are.
func (c *Core) MergeDevices(ctx context.Context, actor Actor, slug string, ids []string, reason string) (DeviceDetail, error) {
	if len(ids) < 2 {
		return DeviceDetail{}, invalid("merge devices: name two or more")
	}
	var merged DeviceDetail
	err := c.changeDevices(ctx, actor, slug, reason, func(k *deviceChange) error {
		first, err := k.read(ids[0])
		if err != nil {
			return err
		}
		changed := false
		for _, id := range ids[1:] {
			other, err := k.read(id)
			if err != nil {
				return err
			}
			if other.id == first.id {
				continue
			}
			changed = true
			if err := k.join(first, other); err != nil {
				return err
			}
			if first, err = k.read(ids[0]); err != nil {
				return err
			}
		}
		if !changed {
			return precondition("merge devices of tenant %s: they are one already, %s", slug, first.id)
		}
		merged, err = k.detail(first.id)
		return err
	})
	return merged, err
}

// UnmergeDevice takes back what operators merged into a device. With the former
// id of one of its members it parts that member, and what the rules make one
// with it, from the rest, whoever joined them. It returns the devices there are
// then, the one with the id first.
func (c *Core) UnmergeDevice(ctx context.Context, actor Actor, slug, id, former, reason string) ([]DeviceDetail, error) {
	return c.partDevice(ctx, actor, slug, id, reason, func(k *deviceChange, d changedDevice) error {
		if former == "" {
			drop := d.pairs(func(a, b string) bool { return true }, false)
			if len(drop) == 0 {
				return precondition("unmerge device %s of tenant %s: no operator merged it: name the former id of a member to part, or split it", d.id, slug)
			}
			return k.relink(dire.LinkChange{Drop: drop})
		}
		i := slices.IndexFunc(d.assertions, func(a dire.Assertion) bool { return a.HomeID == former })
		if i < 0 {
			return notFound("unmerge device %s of tenant %s: it has no member with the former id %q", d.id, slug, clean(former, maxName))
		}
		part, err := k.ruleMates(d, former)
		if err != nil {
			return err
		}
		if len(part) == len(d.assertions) {
			part = map[string]bool{former: true}
		}
		return k.part(d, part)
	})
}

// SplitDevice parts members of a device from the others, and keeps them apart
// whatever their sources say. Members are named by their home ids, or as
// "SOURCE/KEY".
func (c *Core) SplitDevice(ctx context.Context, actor Actor, slug, id string, members []string, reason string) ([]DeviceDetail, error) {
	return c.partDevice(ctx, actor, slug, id, reason, func(k *deviceChange, d changedDevice) error {
		part := map[string]bool{}
		for _, member := range members {
			i := slices.IndexFunc(d.assertions, func(a dire.Assertion) bool {
				return a.HomeID == member || k.names.name(a.Source)+"/"+a.Key == member || a.Source+"/"+a.Key == member
			})
			if i < 0 {
				return notFound("split device %s of tenant %s: it has no member %q: see `edgesync device show %s --why`", d.id, slug, clean(member, maxName), d.id)
			}
			part[d.assertions[i].HomeID] = true
		}
		if len(d.assertions) == 1 {
			return invalid("split device %s of tenant %s: only one source's record is part of it: there is nothing to split", d.id, slug)
		}
		if len(part) == 0 || len(part) == len(d.assertions) {
			return invalid("split device %s of tenant %s: name some of its %d members, but not all", d.id, slug, len(d.assertions))
		}
		return k.part(d, part)
	})
}

// partDevice lets part change a device and returns what its members are then.
func (c *Core) partDevice(ctx context.Context, actor Actor, slug, id, reason string, part func(*deviceChange, changedDevice) error) ([]DeviceDetail, error) {
	var parts []DeviceDetail
	err := c.changeDevices(ctx, actor, slug, reason, func(k *deviceChange) error {
		parts = nil
		d, err := k.read(id)
		if err != nil {
			return err
		}
		if err := part(k, d); err != nil {
			return err
		}
		done := map[string]bool{}
		for _, home := range append([]string{d.id}, d.homes()...) {
			detail, err := k.detail(home)
			if err != nil {
				return err
			}
			if !done[detail.ID] {
				done[detail.ID] = true
				parts = append(parts, detail)
			}
		}
		return nil
	})
	return parts, err
}

// changeDevices runs a change of devices when it is the tenant's turn.
func (c *Core) changeDevices(ctx context.Context, actor Actor, slug, reason string, do func(*deviceChange) error) error {
	if err := validText("reason", reason, maxRunError); err != nil {
		return err
	}
	s, err := c.scope(ctx, slug)
	if err != nil {
		return err
	}
	lane := c.lane(s.tenant.ID)
	if err := lane.enter(ctx); err != nil {
		return err
	}
	defer lane.leave()
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		names, err := namesOf(ctx, tx)
		if err != nil {
			return err
		}
		return do(&deviceChange{core: c, ctx: ctx, tx: tx, events: events, tenant: s.tenant, names: names, actor: actor, reason: reason})
	})
	var told *Error
	if err != nil && !errors.As(err, &told) {
		return fmt.Errorf("change devices of tenant %s: %w", slug, err)
	}
	return err
}
