package core

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"edgesync/proto/payload"
	"edgesync/seal"
)

// SourceDraft is a source that is not recorded, or not as it is to be.
type SourceDraft struct {
	Tenant string
	// Source is the id or name of the one it is to change; empty for a new one.
	Source string
	Spec   SourceSpec
	// Service is the id or name of the sync service that is to run it; empty means
	// the one that does, or while exactly one is available that.
	Service string
	// Credentials are set, or with an empty value removed; others stay.
	Credentials map[string][]byte
}

// TestDraft has a service read a little of a source before it is saved.
func (c *Core) TestDraft(ctx context.Context, actor Actor, in SourceDraft) (payload.SourceTestResult, error) {
	none := payload.SourceTestResult{}
	if err := in.Spec.check(); err != nil {
		return none, err
	}
	if err := checkCredentials(in.Spec.Name, in.Spec.Type, in.Credentials); err != nil {
		return none, err
	}
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return none, err
	}
	source, service, err := c.drafted(ctx, s, in)
	if err != nil {
		return none, err
	}
	test := sourceTest{source: source, service: service, doing: fmt.Sprintf("test source %q", source.Name)}
	test.event = Event{
		Type: "source.tested", ServiceID: service.ID, Message: "test of source " + source.Name + " asked for, before it is saved",
	}
	if in.Source != "" {
		test.event.SourceID = source.ID
	}
	if test.draft, err = c.sealDraft(s.tenant, service.SyncService, source); err != nil {
		return none, err
	}
	return c.runTest(ctx, actor, s, test)
}

// drafted is the source as it would be recorded, and the service that would run
// it.
func (c *Core) drafted(ctx context.Context, s scope, in SourceDraft) (Source, Service, error) {
	source := in.Spec.source()
	source.ID = uuid.New()
	var old Source
	if in.Source != "" {
		found, err := c.sourceRecord(ctx, s, in.Source)
		if err != nil {
			return Source{}, Service{}, err
		}
		old = found
		source.ID = old.ID
	}
	var err error
	if source.Credentials, err = c.sealCredentials(s.tenant, source.ID, old.Credentials, in.Credentials); err != nil {
		return Source{}, Service{}, err
	}
	if err := checkRequired(source.Name, source.Type, source.Credentials); err != nil {
		return Source{}, Service{}, err
	}
	source.SyncServiceID = old.SyncServiceID
	if in.Service != "" || in.Source == "" {
		picked, err := c.pickService(ctx, s, in.Service, source.Name)
		if err != nil {
			return Source{}, Service{}, err
		}
		source.SyncServiceID = picked.ID
	}
	service, err := c.owner(ctx, s, source)
	return source, service, err
}

// sourceRecord finds a source with its sealed credentials.
func (c *Core) sourceRecord(ctx context.Context, s scope, ref string) (source Source, err error) {
	err = s.store.View(ctx, func(tx TenantTx) error {
		source, err = findSource(ctx, tx, s.tenant, ref)
		return err
	})
	return source, err
}

// sealDraft is the content of the test, sealed: it may have to go through other
// processes to the one that the service is connected to.
func (c *Core) sealDraft(tenant Tenant, service SyncService, source Source) ([]byte, error) {
	entry, err := c.configEntry(tenant, service, source)
	if err != nil {
		return nil, err
	}
	test := payload.SourceTest{Key: entry.key}
	if err := json.Unmarshal(entry.json, &test.Source); err != nil {
		return nil, fmt.Errorf("encode test of source %q: %w", source.Name, err)
	}
	plain, err := json.Marshal(test)
	if err != nil {
		return nil, fmt.Errorf("encode test of source %q: %w", source.Name, err)
	}
	sealed, err := c.keyset.Seal(plain, draftAD(tenant.ID, service.ID))
	if err != nil {
		return nil, fmt.Errorf("seal test of source %q: %w", source.Name, err)
	}
	return sealed, nil
}

// openDraft is the payload of a command to test a draft. It opens for the tenant
// and the service it was made for, and nowhere else.
func (c *Core) openDraft(service uuid.UUID, command Command) ([]byte, error) {
	plain, err := c.keyset.Open(command.Draft, draftAD(command.Tenant, service))
	if err != nil {
		return nil, fmt.Errorf("open test of a source: %w", err)
	}
	return plain, nil
}

func draftAD(tenant, service uuid.UUID) []byte {
	return seal.AD("source-draft", tenant.String(), service.String())
}
