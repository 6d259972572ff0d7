package core_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/dire"
	"edgesync/proto/payload"
)

// mixed is a tenant whose Armis and a second Armis name three things each: the
// first of both share a MAC, the second a MAC in vain.
func mixed(t *testing.T) (*world, certs.Peer, core.SourceView, core.SourceView, func(run string)) {
	t.Helper()
	w, peer, one := edge(t)
	two := w.source("acme", "second", "hq")
	sync := func(run string) {
		w.sync(peer, one, run, payload.ModeSnapshot, []payload.Update{
			w.device(one, "1", "00:1a:2b:00:00:01", "10.0.0.1"), w.device(one, "2", "00:1a:2b:00:00:02", "10.0.0.2"),
			w.device(one, "3", "00:1a:2b:00:00:02", "10.0.0.3"),
		})
		w.sync(peer, two, run, payload.ModeSnapshot, []payload.Update{
			w.device(two, "1", "00:1a:2b:00:00:01", "10.0.1.1"), w.device(two, "2", "00:1a:2b:00:00:02", "10.0.1.2"),
			w.device(two, "3", "00:1a:2b:00:00:09", "10.0.1.3"),
		})
	}
	sync("r1")
	return w, peer, one, two, sync
}

// groups lists which assertions are one device, each as source/key, over a tenant.
func (w *world) groups(tenant string) string {
	w.t.Helper()
	var ids []string
	err := w.Devices(w.t.Context(), core.DeviceQuery{Tenant: tenant, State: core.DeviceAny}, func(d core.DeviceView) error {
		ids = append(ids, d.ID)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var groups []string
	for _, id := range ids {
		d, err := w.Device(w.t.Context(), tenant, id)
		if err != nil {
			w.t.Fatal(err)
		}
		var members []string
		for _, a := range d.Assertions {
			members = append(members, a.SourceName+"/"+strings.TrimPrefix(a.Key, "id:"))
		}
		slices.Sort(members)
		groups = append(groups, strings.Join(members, "+"))
	}
	slices.Sort(groups)
	return strings.Join(groups, " ")
}

// id is that of the device an assertion is part of, and home its own.
func (w *world) id(tenant string, source core.SourceView, native string) (id, home string) {
	w.t.Helper()
	err := w.Devices(w.t.Context(), core.DeviceQuery{Tenant: tenant, State: core.DeviceAny}, func(d core.DeviceView) error {
		detail, err := w.Device(w.t.Context(), tenant, d.ID)
		for _, a := range detail.Assertions {
			if a.Source == source.ID.String() && a.Key == "id:"+native {
				id, home = d.ID, a.HomeID
			}
		}
		return err
	})
	if err != nil || id == "" {
		w.t.Fatalf("find %s of %s: %v", native, source.Name, err)
	}
	return id, home
}

const byRules = "armis/1+second/1 armis/2 armis/3 second/2 second/3"

func TestAnOperatorsMergeSurvivesSyncsAndIsUndone(t *testing.T) {
	w, _, one, two, sync := mixed(t)
	if got := w.groups("acme"); got != byRules {
		t.Fatalf("the rules make %s", got)
	}
	a, _ := w.id("acme", one, "2")
	b, former := w.id("acme", two, "2")
	merged, err := w.MergeDevices(t.Context(), operator, "acme", []string{a, b}, "the same laptop")
	if err != nil || len(merged.Assertions) != 2 {
		t.Fatalf("merged %+v, %v", merged, err)
	}
	const want = "armis/1+second/1 armis/2+second/2 armis/3 second/3"
	sync("r2")
	if got := w.groups("acme"); got != want {
		t.Errorf("after the merge and a sync there are %s", got)
	}
	why, err := w.Why(t.Context(), "acme", former)
	last := why.Decisions[len(why.Decisions)-1]
	if err != nil || last.Kind != dire.DecisionMerge || last.Rule != dire.RuleOperator || last.By != operator.Name || last.Reason != "the same laptop" ||
		len(why.Joins) != 1 || why.Joins[0].Rule != dire.RuleOperator || len(why.Refused) != 1 || why.Refused[0].Kind != dire.DecisionAmbiguous {
		t.Errorf("it is explained by %+v, %v", why, err)
	}
	if _, err := w.MergeDevices(t.Context(), operator, "acme", []string{a, b}, ""); err == nil {
		t.Error("it merges what is one")
	} else {
		wantCode(t, err, codes.FailedPrecondition)
	}
	// The same thing once more by its rules: three of them are one, and come apart again.
	x, _ := w.id("acme", one, "1")
	if _, err := w.MergeDevices(t.Context(), operator, "acme", []string{a, x}, ""); err != nil {
		t.Fatal(err)
	}
	sync("r3")
	if got := w.groups("acme"); got != "armis/1+armis/2+second/1+second/2 armis/3 second/3" {
		t.Errorf("after two merges there are %s", got)
	}
	if _, err := w.UnmergeDevice(t.Context(), operator, "acme", a, former, ""); err != nil {
		t.Fatal(err)
	}
	sync("r4")
	if got := w.groups("acme"); got != "armis/1+armis/2+second/1 armis/3 second/2 second/3" {
		t.Errorf("after one is undone there are %s", got)
	}
	parts, err := w.UnmergeDevice(t.Context(), operator, "acme", a, "", "")
	if err != nil || len(parts) != 2 {
		t.Fatalf("unmerged into %+v, %v", parts, err)
	}
	if got := w.groups("acme"); got != byRules {
		t.Errorf("with all undone there are %s", got)
	}
	_, err = w.UnmergeDevice(t.Context(), operator, "acme", a, "", "")
	wantCode(t, err, codes.FailedPrecondition)
	for _, kind := range []string{"identity.merge", "identity.split"} {
		events := w.events("acme", kind)
		if !slices.ContainsFunc(events, func(e core.TenantEvent) bool { return e.Actor == operator }) {
			t.Errorf("no event %s names the operator: %+v", kind, events)
		}
	}
}

func TestAnOperatorsSplitSurvivesSyncsAndIsUndone(t *testing.T) {
	for name, split := range map[string]func(w *world, id, home string) ([]core.DeviceDetail, error){
		"split": func(w *world, id, _ string) ([]core.DeviceDetail, error) {
			return w.SplitDevice(w.t.Context(), operator, "acme", id, []string{"second/id:1"}, "a dock")
		},
		"unmerge": func(w *world, id, home string) ([]core.DeviceDetail, error) {
			return w.UnmergeDevice(w.t.Context(), operator, "acme", id, home, "a dock")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, _, two, sync := mixed(t)
			id, home := w.id("acme", two, "1")
			parts, err := split(w, id, home)
			if err != nil || len(parts) != 2 || parts[0].ID != id || parts[1].ID != home {
				t.Fatalf("parted into %+v, %v", parts, err)
			}
			const want = "armis/1 armis/2 armis/3 second/1 second/2 second/3"
			sync("r2")
			sync("r3")
			if got := w.groups("acme"); got != want {
				t.Errorf("after the %s and syncs there are %s", name, got)
			}
			why, err := w.Why(t.Context(), "acme", home)
			if err != nil || len(why.Apart) != 1 || why.Apart[0].Reason != "a dock" {
				t.Errorf("it is explained by %+v, %v", why, err)
			}
			if _, err := w.MergeDevices(t.Context(), operator, "acme", []string{id, home}, ""); err != nil {
				t.Fatal(err)
			}
			if got := w.groups("acme"); got != byRules {
				t.Errorf("undone there are %s", got)
			}
			if why, err := w.Why(t.Context(), "acme", home); err != nil || len(why.Apart) != 0 || len(why.Joins) != 1 || why.Joins[0].Rule != dire.RuleMAC {
				t.Errorf("undone it is explained by %+v, %v", why, err)
			}
		})
	}
}

func TestChangesOfDevicesAreRefused(t *testing.T) {
	w, peer, one, two, _ := mixed(t)
	w.tenant("umbrella")
	lab := w.onboard("umbrella", "lab")
	w.hello(lab)
	foreign := w.source("umbrella", "armis", "lab")
	w.snapshot(lab, foreign, "r", 0, 1)
	theirs, _ := w.id("umbrella", foreign, "0")
	spec := armis("branch")
	spec.Partition = "branch"
	branch, err := w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: spec, Service: "hq", Credentials: armisKey})
	if err != nil {
		t.Fatal(err)
	}
	w.snapshot(peer, branch, "r", 0, 1)
	id, _ := w.id("acme", one, "1")
	far, _ := w.id("acme", branch, "0")
	_, stranger := w.id("acme", two, "3")
	for name, c := range map[string]struct {
		code codes.Code
		do   func() error
	}{
		"another tenant's device": {codes.NotFound, func() error {
			_, err := w.MergeDevices(t.Context(), operator, "acme", []string{id, theirs}, "")
			return err
		}},
		"one device": {codes.InvalidArgument, func() error {
			_, err := w.MergeDevices(t.Context(), operator, "acme", []string{id}, "")
			return err
		}},
		"two partitions": {codes.FailedPrecondition, func() error {
			_, err := w.MergeDevices(t.Context(), operator, "acme", []string{id, far}, "")
			return err
		}},
		"all members": {codes.InvalidArgument, func() error {
			_, err := w.SplitDevice(t.Context(), operator, "acme", id, []string{"armis/id:1", "second/id:1"}, "")
			return err
		}},
		"no members": {codes.InvalidArgument, func() error {
			_, err := w.SplitDevice(t.Context(), operator, "acme", id, nil, "")
			return err
		}},
		"a member it has not": {codes.NotFound, func() error {
			_, err := w.SplitDevice(t.Context(), operator, "acme", id, []string{stranger}, "")
			return err
		}},
		"a former id it has not": {codes.NotFound, func() error {
			_, err := w.UnmergeDevice(t.Context(), operator, "acme", id, stranger, "")
			return err
		}},
		"a reason with control characters": {codes.InvalidArgument, func() error {
			_, err := w.UnmergeDevice(t.Context(), operator, "acme", id, "", "a\x1b[0m")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.do(), c.code) })
	}
	if got := w.groups("acme"); got != "armis/1+second/1 armis/2 armis/3 branch/0 second/2 second/3" {
		t.Errorf("something changed: %s", got)
	}
}

func TestDuplicatesAndSimulation(t *testing.T) {
	w, peer, one, _, _ := mixed(t)
	found, err := w.Duplicates(t.Context(), "acme", 0)
	var got []string
	for _, d := range found {
		got = append(got, fmt.Sprintf("%s %s %d", d.Kind, d.Value, d.Count))
	}
	want := "hostname host-2 2|hostname host-3 2|mac 00:1a:2b:00:00:02 3"
	if err != nil || strings.Join(got, "|") != want {
		t.Errorf("duplicates are %s, %v", strings.Join(got, "|"), err)
	}
	before := w.groups("acme")
	same, err := w.Simulate(t.Context(), "acme", core.RuleChange{})
	if err != nil || len(same.Merges)+len(same.Splits) != 0 || same.Stored != 5 || same.Simulated != 5 {
		t.Errorf("the rules as they are give %+v, %v", same, err)
	}
	split, err := w.Simulate(t.Context(), "acme", core.RuleChange{IgnoredMACs: []string{"00-1A-2B-00-00-01"}})
	if err != nil || len(split.Merges) != 0 || len(split.Splits) != 1 || split.Simulated != 6 || len(split.Splits[0].Identifiers) != 1 {
		t.Errorf("without the MAC there are %+v, %v", split, err)
	}
	a, b := w.device(one, "7", "", "10.0.9.7"), w.device(core.SourceView{}, "8", "", "10.0.9.8")
	for _, u := range []*payload.Update{&a, &b} {
		u.Metadata[payload.MetaSerialNumber], u.Metadata[payload.MetaManufacturer] = "Default string", "ACME"
	}
	if err := errors.Join(w.ingest(peer, stream(one, "x"), []payload.Update{a}), w.ingest(peer, payload.Stream{}, []payload.Update{b})); err != nil {
		t.Fatal(err)
	}
	merge, err := w.Simulate(t.Context(), "acme", core.RuleChange{TrustedSerials: []string{"DEFAULT STRING"}})
	if err != nil || len(merge.Merges) != 1 || len(merge.Splits) != 0 || len(merge.Merges[0].Devices) != 2 {
		t.Errorf("with the serial trusted there are %+v, %v", merge, err)
	}
	if _, err := w.Simulate(t.Context(), "acme", core.RuleChange{IgnoredMACs: []string{"0x1"}}); err == nil {
		t.Error("it takes anything for a MAC")
	}
	if got := w.groups("acme"); !strings.HasPrefix(got, before[:20]) {
		t.Errorf("the simulation changed %s to %s", before, got)
	}
}
