package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/google/uuid"
)

// maxImport bounds the sources of one import.
const maxImport = 1_000

// ImportInput is a set of sources that are made together.
type ImportInput struct {
	Tenant string
	// Service is the id or name of the sync service that is to run those that are
	// new. With DryRun it may be empty: one that is yet to be made.
	Service string
	Sources []ImportSource
	// DryRun changes nothing.
	DryRun bool
}

// ImportSource is one of them.
type ImportSource struct {
	Spec        SourceSpec
	Credentials map[string][]byte
}

// ImportOutcome is what becomes of one.
type ImportOutcome struct {
	Name   string
	Result ImportResult
	// Reason is why it is refused.
	Reason string
}

// ImportResult is the outcome in a word.
type ImportResult string

// The results of an import. Unchanged is a source that was there as it is to be.
const (
	ImportCreated   ImportResult = "created"
	ImportUnchanged ImportResult = "unchanged"
	ImportRefused   ImportResult = "refused"
)

// ImportSources makes sources of a tenant, all that are not there yet or, while
// any of them is refused, none: the outcomes say why, in the order of the input.
func (c *Core) ImportSources(ctx context.Context, actor Actor, in ImportInput) ([]ImportOutcome, error) {
	if len(in.Sources) == 0 || len(in.Sources) > maxImport {
		return nil, invalid("import sources: there are %d, not between 1 and %d", len(in.Sources), maxImport)
	}
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	done, err := c.assigning(ctx, s.tenant.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	var service SyncService
	if in.Service != "" || !in.DryRun {
		if service, err = c.pickService(ctx, s, in.Service, in.Sources[0].Spec.Name); err != nil {
			return nil, err
		}
	}
	i := &importing{core: c, scope: s, in: in, service: service, specs: make([]SourceSpec, len(in.Sources))}
	i.check()
	if in.DryRun || slices.ContainsFunc(i.outcomes, ImportOutcome.refused) {
		err := s.store.View(ctx, func(tx TenantTx) error { return i.compare(ctx, tx) })
		return i.outcomes, err
	}
	err = c.assign(ctx, s, in.Sources[0].Spec.Name, []SyncService{service}, func(tx TenantTx, events *eventLog) error {
		return i.create(ctx, tx, events, actor)
	})
	if err != nil && !errors.Is(err, errImportRefused) {
		return nil, err
	}
	return i.outcomes, nil
}

// errImportRefused ends a transaction in which a source turned out to be refused.
var errImportRefused = errors.New("a source is refused")

func (o ImportOutcome) refused() bool { return o.Result == ImportRefused }

// importing is an import under way.
type importing struct {
	core    *Core
	scope   scope
	in      ImportInput
	service SyncService
	// specs are those of the input, completed.
	specs    []SourceSpec
	outcomes []ImportOutcome
}

// check looks at each source by itself, and for two of one name.
func (i *importing) check() {
	names := map[string]bool{}
	for n, one := range i.in.Sources {
		spec := one.Spec
		outcome := ImportOutcome{Name: clean(spec.Name, maxName), Result: ImportCreated}
		refusal := spec.check()
		if refusal == nil {
			refusal = checkCredentials(spec.Name, spec.Type, one.Credentials)
		}
		if refusal == nil {
			refusal = checkRequired(spec.Name, spec.Type, one.Credentials)
		}
		if refusal == nil && names[spec.Name] {
			refusal = invalid("check source %q: another of this import has the name", spec.Name)
		}
		if refusal != nil {
			outcome.Result, outcome.Reason = ImportRefused, refusal.Message
		}
		names[spec.Name] = true
		i.specs[n] = spec
		i.outcomes = append(i.outcomes, outcome)
	}
}

// compare looks for sources of the names that are there already.
func (i *importing) compare(ctx context.Context, tx TenantTx) error {
	for n := range i.outcomes {
		o := &i.outcomes[n]
		if o.refused() {
			continue
		}
		o.Result, o.Reason = ImportCreated, ""
		old, err := tx.SourceByName(ctx, i.specs[n].Name)
		if there, err := found(err); err != nil {
			return fmt.Errorf("find source %q: %w", o.Name, err)
		} else if !there {
			continue
		}
		o.Result = ImportUnchanged
		if different := i.different(old, n); different != "" {
			o.Result = ImportRefused
			o.Reason = fmt.Sprintf("check source %q: one of that name exists with another %s: rename or remove it, or change it with `edgesync source edit`", o.Name, different)
		}
	}
	return nil
}

// different is the first thing in which a source that is there is not as it is to
// be, or empty. What runs it and whether it is enabled is the operator's since.
func (i *importing) different(old Source, n int) string {
	want := i.specs[n].source()
	for _, field := range []struct {
		name      string
		is, wants any
	}{
		{"type", old.Type, want.Type}, {"endpoint", old.Endpoint, want.Endpoint}, {"partition", old.Partition, want.Partition},
		{"poll interval", old.PollInterval, want.PollInterval}, {"discovery interval", old.DiscoveryInterval, want.DiscoveryInterval},
		{"sweep interval", old.SweepInterval, want.SweepInterval}, {"page size", old.PageSize, want.PageSize},
		{"batch size", old.BatchSize, want.BatchSize}, {"custom field", old.CustomField, want.CustomField},
		{"certificate check", old.InsecureSkipVerify, want.InsecureSkipVerify},
		{"blacklist", slices.Concat([]string{}, old.NetworkBlacklist), slices.Concat([]string{}, want.NetworkBlacklist)},
		{"list of queries", fmt.Sprint(old.Queries), fmt.Sprint(want.Queries)},
	} {
		if !reflect.DeepEqual(field.is, field.wants) {
			return field.name
		}
	}
	return i.differentCredential(old, i.in.Sources[n].Credentials)
}

func (i *importing) differentCredential(old Source, want map[string][]byte) string {
	keys := map[string]bool{}
	for _, key := range slices.Concat(slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(old.Credentials))) {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		is, err := i.core.keyset.Open(old.Credentials[key], credentialAD(i.scope.tenant.ID, old.ID, key))
		if len(want[key]) == 0 && len(old.Credentials[key]) == 0 {
			continue
		}
		if err != nil || !bytes.Equal(is, want[key]) {
			return "credential " + key
		}
	}
	return ""
}

// create makes what is not there, in one transaction.
func (i *importing) create(ctx context.Context, tx TenantTx, events *eventLog, actor Actor) error {
	if err := i.compare(ctx, tx); err != nil {
		return err
	}
	if slices.ContainsFunc(i.outcomes, ImportOutcome.refused) {
		return errImportRefused
	}
	for n, spec := range i.specs {
		if i.outcomes[n].Result != ImportCreated {
			continue
		}
		source := spec.source()
		source.ID, source.Enabled, source.CreatedAt, source.UpdatedAt = uuid.New(), true, events.now, events.now
		source.SyncServiceID = i.service.ID
		var err error
		if source.Credentials, err = i.core.sealCredentials(i.scope.tenant, source.ID, nil, i.in.Sources[n].Credentials); err != nil {
			return err
		}
		events.add(actor, Event{
			Type: "source.created", SourceID: source.ID, ServiceID: i.service.ID,
			Message: "source " + source.Name + " created by an import",
			Details: map[string]string{"source_type": source.Type, "service": i.service.Name},
		})
		events.concern(i.service.ID)
		if err := putSource(ctx, tx, i.scope.tenant, source); err != nil {
			return err
		}
	}
	return nil
}
