package core

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SourceUpdate is what changing a source takes.
type SourceUpdate struct {
	Tenant string
	// Source is its id or name.
	Source string
	// Spec replaces the whole spec.
	Spec SourceSpec
	// Service is the id or name of another service to run it, or empty.
	Service string
	// Credentials are set, or with an empty value removed; others stay.
	Credentials map[string][]byte
	// IfUpdatedAt, unless zero, refuses the change if the source has been
	// changed since.
	IfUpdatedAt time.Time
}

// UpdateSource changes a source. Its service gets the change with its next
// configuration.
func (c *Core) UpdateSource(ctx context.Context, actor Actor, in SourceUpdate) (SourceView, error) {
	if err := in.Spec.check(); err != nil {
		return SourceView{}, err
	}
	if err := checkCredentials(in.Spec.Name, in.Spec.Type, in.Credentials); err != nil {
		return SourceView{}, err
	}
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return SourceView{}, err
	}
	done, err := c.assigning(ctx, s.tenant.ID)
	if err != nil {
		return SourceView{}, err
	}
	defer done()
	var to []SyncService
	if in.Service != "" {
		service, err := c.pickService(ctx, s, in.Service, in.Spec.Name)
		if err != nil {
			return SourceView{}, err
		}
		to = append(to, service)
	}
	var id uuid.UUID
	err = c.assign(ctx, s, in.Spec.Name, to, func(tx TenantTx, events *eventLog) error {
		old, err := findSource(ctx, tx, s.tenant, in.Source)
		if err != nil {
			return err
		}
		id = old.ID
		changed, err := c.updated(s.tenant, old, in, to)
		if err != nil {
			return err
		}
		what := differences(old, changed)
		if len(what) == 0 {
			return nil
		}
		changed.UpdatedAt = later(c.now(), old.UpdatedAt)
		events.concern(old.SyncServiceID)
		events.concern(changed.SyncServiceID)
		events.add(actor, Event{
			Type: "source.updated", SourceID: id, ServiceID: changed.SyncServiceID,
			Message: "source " + changed.Name + " changed: " + strings.Join(what, ", "),
			Details: map[string]string{"changed": strings.Join(what, ",")},
		})
		return putSource(ctx, tx, s.tenant, changed)
	})
	if err != nil {
		return SourceView{}, err
	}
	return c.sourceOf(ctx, s, id.String())
}

// updated is what a source becomes.
func (c *Core) updated(tenant Tenant, old Source, in SourceUpdate, to []SyncService) (Source, error) {
	if !in.IfUpdatedAt.IsZero() && !in.IfUpdatedAt.Equal(old.UpdatedAt) {
		return Source{}, aborted("change source %q: somebody else has changed it since: read it again", old.Name)
	}
	if in.Spec.Type != old.Type {
		return Source{}, invalid("change source %q: its type is %s for good: create another source for %s", old.Name, old.Type, in.Spec.Type)
	}
	changed := in.Spec.source()
	changed.ID, changed.Enabled, changed.CreatedAt, changed.UpdatedAt = old.ID, old.Enabled, old.CreatedAt, old.UpdatedAt
	changed.SyncServiceID, changed.Stats = old.SyncServiceID, old.Stats
	if len(to) > 0 {
		changed.SyncServiceID = to[0].ID
	}
	var err error
	if changed.Credentials, err = c.sealCredentials(tenant, old.ID, old.Credentials, in.Credentials); err != nil {
		return Source{}, err
	}
	if err := checkRequired(changed.Name, changed.Type, changed.Credentials); err != nil {
		return Source{}, err
	}
	return changed, nil
}

// differences names the fields that two states of a source differ in. A
// credential that was set differs: whether it is the same cannot be seen.
func differences(old, changed Source) []string {
	var what []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"name", old.Name == changed.Name},
		{"endpoint", old.Endpoint == changed.Endpoint},
		{"partition", old.Partition == changed.Partition},
		{"sync_service_id", old.SyncServiceID == changed.SyncServiceID},
		{"poll_interval", old.PollInterval == changed.PollInterval},
		{"discovery_interval", old.DiscoveryInterval == changed.DiscoveryInterval},
		{"sweep_interval", old.SweepInterval == changed.SweepInterval},
		{"page_size", old.PageSize == changed.PageSize},
		{"batch_size", old.BatchSize == changed.BatchSize},
		{"network_blacklist", slices.Equal(old.NetworkBlacklist, changed.NetworkBlacklist)},
		{"queries", sameQueries(old.Queries, changed.Queries)},
		{"custom_field", old.CustomField == changed.CustomField},
		{"settings", maps.Equal(old.Settings, changed.Settings)},
		{"insecure_skip_verify", old.InsecureSkipVerify == changed.InsecureSkipVerify},
		{"confidence", old.Confidence == changed.Confidence},
		{"credentials", maps.EqualFunc(old.Credentials, changed.Credentials, bytes.Equal)},
	} {
		if !field.same {
			what = append(what, field.name)
		}
	}
	return what
}

func sameQueries(a, b []Query) bool {
	return slices.EqualFunc(a, b, func(a, b Query) bool {
		return a.Label == b.Label && a.Query == b.Query && slices.Equal(a.SweepModes, b.SweepModes)
	})
}

// later is now, or just after before if the clock has not moved: the time of a
// change tells one state of a source from the next.
func later(now, before time.Time) time.Time {
	if now.After(before) {
		return now
	}
	return before.Add(time.Microsecond)
}

// SetSourceEnabled starts or stops the runs of a source.
func (c *Core) SetSourceEnabled(ctx context.Context, actor Actor, slug, ref string, enabled bool) (SourceView, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return SourceView{}, err
	}
	event := "source.disabled"
	if enabled {
		event = "source.enabled"
	}
	var id uuid.UUID
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		source, err := findSource(ctx, tx, s.tenant, ref)
		if err != nil {
			return err
		}
		if id = source.ID; source.Enabled == enabled {
			return nil
		}
		source.Enabled, source.UpdatedAt = enabled, later(c.now(), source.UpdatedAt)
		events.concern(source.SyncServiceID)
		events.add(actor, Event{
			Type: event, SourceID: id, ServiceID: source.SyncServiceID,
			Message: "source " + source.Name + strings.Replace(event, "source.", " ", 1),
		})
		return putSource(ctx, tx, s.tenant, source)
	})
	if err != nil {
		return SourceView{}, err
	}
	return c.sourceOf(ctx, s, id.String())
}

// RemoveSource deletes a source; the devices it found stay.
func (c *Core) RemoveSource(ctx context.Context, actor Actor, slug, ref string) error {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return err
	}
	done, err := c.assigning(ctx, s.tenant.ID)
	if err != nil {
		return err
	}
	defer done()
	return c.assign(ctx, s, ref, nil, func(tx TenantTx, events *eventLog) error {
		source, err := findSource(ctx, tx, s.tenant, ref)
		if err != nil {
			return err
		}
		events.add(actor, Event{
			Type: "source.removed", Severity: SeverityWarning, SourceID: source.ID, ServiceID: source.SyncServiceID,
			Message: "source " + source.Name + " removed",
			Details: map[string]string{"source_type": source.Type},
		})
		events.concern(source.SyncServiceID)
		if err := tx.DeleteSource(ctx, source.ID); err != nil {
			return fmt.Errorf("delete source %s: %w", source.ID, err)
		}
		return nil
	})
}
