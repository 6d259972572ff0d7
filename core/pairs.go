package core

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"edgesync/dire"
)

// deviceChange is one change of an operator's to devices, in a transaction that
// it does not outlive.
type deviceChange struct {
	core   *Core
	ctx    context.Context
	tx     TenantTx
	events *eventLog
	tenant Tenant
	names  sourceNames
	actor  Actor
	reason string
}

// changedDevice is a device as it stands between the steps of a change.
type changedDevice struct {
	id, partition string
	assertions    []dire.Assertion
	links         []dire.Link
}

func (d *changedDevice) homes() []string {
	homes := make([]string, len(d.assertions))
	for i := range d.assertions {
		homes[i] = d.assertions[i].HomeID
	}
	return homes
}

// pairs are those of the device's links that choose takes, by their sides.
func (d *changedDevice) pairs(choose func(a, b string) bool, apart bool) []dire.Pair {
	var pairs []dire.Pair
	for i := range d.links {
		if l := &d.links[i]; l.Apart == apart && choose(l.A, l.B) {
			pairs = append(pairs, l.Pair())
		}
	}
	return pairs
}

func (k *deviceChange) detail(id string) (DeviceDetail, error) {
	detail, err := deviceDetail(k.ctx, k.tx, k.tenant, k.names, id)
	if err != nil {
		return DeviceDetail{}, noDevice(err, k.tenant.Slug, id)
	}
	return detail, nil
}

// read reads a device and the links of its members.
func (k *deviceChange) read(id string) (changedDevice, error) {
	device, assertions, err := k.tx.Device(k.ctx, id)
	if err != nil {
		return changedDevice{}, noDevice(err, k.tenant.Slug, id)
	}
	d := changedDevice{id: device.ID, partition: device.Partition, assertions: assertions}
	near, err := k.tx.Neighbourhood(k.ctx, k.core.rules.ProbeAround(d.homes()...))
	if err != nil {
		return changedDevice{}, fmt.Errorf("read neighbourhood: %w", err)
	}
	d.links = near.Links
	return d, nil
}

// grouped are the members that count in grouping: the strong ones, and those an
// operator linked; where there are none, all.
func (k *deviceChange) grouped(d changedDevice) []string {
	var homes []string
	for i := range d.assertions {
		a := &d.assertions[i]
		_, strong := k.core.rules.Identifiers(&a.Facts)
		linked := len(d.pairs(func(x, y string) bool { return x == a.HomeID || y == a.HomeID }, false)) > 0
		if strong || linked {
			homes = append(homes, a.HomeID)
		}
	}
	if len(homes) == 0 {
		return d.homes()
	}
	return homes
}

// relink carries a change of pairs out and tells of what it decided.
func (k *deviceChange) relink(change dire.LinkChange) error {
	change.At, change.By, change.Reason = k.events.now, k.actor.Name, k.reason
	if len(change.Link)+len(change.Apart) > maxPairs {
		return precondition("change devices of tenant %s: it takes more than %d pairs", k.tenant.Slug, maxPairs)
	}
	probe, err := k.core.rules.ProbeForLinks(change)
	if err != nil {
		return fmt.Errorf("probe links: %w", err)
	}
	plan, err := k.core.carryOut(k.ctx, k.tx, probe)
	if err != nil {
		return err
	}
	tellDecisions(k.events, k.actor, plan.Decisions)
	return nil
}

// join makes two devices one. Who was kept apart is no longer; where the rules
// alone do not join them then, every member is paired with a head of the other
// device, so that they stay one whichever member goes.
func (k *deviceChange) join(first, other changedDevice) error {
	if first.partition != other.partition {
		return precondition("merge devices of tenant %s: %s is in partition %s and %s in %s: devices of two partitions are never one",
			k.tenant.Slug, first.id, first.partition, other.id, other.partition)
	}
	mine, others := set(first.homes()), set(other.homes())
	crossing := func(a, b string) bool { return mine[a] && others[b] || mine[b] && others[a] }
	if drop := first.pairs(crossing, true); len(drop) > 0 {
		if err := k.relink(dire.LinkChange{Drop: drop}); err != nil {
			return err
		}
		if one, err := k.areOne(first.id, other.id); err != nil || one {
			return err
		}
	}
	link := map[dire.Pair]bool{}
	heads, tails := k.grouped(first), k.grouped(other)
	for _, tail := range tails {
		link[dire.PairOf(heads[0], tail)] = true
	}
	for _, head := range heads {
		link[dire.PairOf(head, tails[0])] = true
	}
	if err := k.relink(dire.LinkChange{Link: keys(link)}); err != nil {
		return err
	}
	one, err := k.areOne(first.id, other.id)
	if err == nil && !one {
		err = precondition("merge devices of tenant %s: %s and %s stay apart: an operator keeps apart what joins them", k.tenant.Slug, first.id, other.id)
	}
	return err
}

// areOne tells whether two ids lead to one device.
func (k *deviceChange) areOne(a, b string) (bool, error) {
	one, _, err := k.tx.Device(k.ctx, a)
	if err != nil {
		return false, err
	}
	other, _, err := k.tx.Device(k.ctx, b)
	return one.ID == other.ID, err
}

// part parts some members of a device from the others: operators' links between
// them are dropped, and where that is not enough every two are kept apart.
func (k *deviceChange) part(d changedDevice, part map[string]bool) error {
	drop := d.pairs(func(a, b string) bool { return part[a] != part[b] }, false)
	if len(drop) > 0 {
		if err := k.relink(dire.LinkChange{Drop: drop}); err != nil {
			return err
		}
	}
	of := map[string]string{}
	for _, home := range d.homes() {
		device, _, err := k.tx.Device(k.ctx, home)
		if err != nil {
			return err
		}
		of[home] = device.ID
	}
	grouped := set(k.grouped(d))
	apart := map[dire.Pair]bool{}
	for in := range part {
		for out := range of {
			if !part[out] && of[in] == of[out] && (grouped[in] || grouped[out]) {
				apart[dire.PairOf(in, out)] = true
			}
		}
	}
	if len(apart) == 0 {
		return nil
	}
	return k.relink(dire.LinkChange{Apart: keys(apart)})
}

// ruleMates are the members that the rules alone make one with a member.
func (k *deviceChange) ruleMates(d changedDevice, home string) (map[string]bool, error) {
	probe, err := k.core.rules.ProbeForLinks(dire.LinkChange{
		At: k.events.now, Drop: d.pairs(func(a, b string) bool { return true }, false),
	})
	if err != nil {
		return nil, fmt.Errorf("probe links: %w", err)
	}
	near, err := k.tx.Neighbourhood(k.ctx, probe)
	if err != nil {
		return nil, fmt.Errorf("read neighbourhood: %w", err)
	}
	plan, err := k.core.rules.Plan(probe, near)
	if err != nil {
		return nil, fmt.Errorf("plan links: %w", err)
	}
	of := map[string]string{}
	for _, member := range d.homes() {
		of[member] = d.id
	}
	for i := range plan.Put {
		if _, ok := of[plan.Put[i].HomeID]; ok {
			of[plan.Put[i].HomeID] = plan.Put[i].DeviceID
		}
	}
	mates := map[string]bool{}
	for member, device := range of {
		if device == of[home] {
			mates[member] = true
		}
	}
	return mates, nil
}

func set(values []string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[v] = true
	}
	return m
}

// keys are the pairs of a set, in order.
func keys(pairs map[dire.Pair]bool) []dire.Pair {
	list := make([]dire.Pair, 0, len(pairs))
	for pair := range pairs {
		list = append(list, pair)
	}
	slices.SortFunc(list, func(a, b dire.Pair) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	return list
}
