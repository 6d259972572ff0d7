package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// PlatformSyncName is the name and component id the platform's own sync service
// is recorded with.
const PlatformSyncName = "platform-sync"

// The defaults of BootstrapInput.
const (
	DefaultPlatformSlug = "platform"
	DefaultTrustDomain  = "edgesync.local"
	DefaultGatewayAddr  = "localhost:50052"
	DefaultCAAddr       = "localhost:9443"
)

// BootstrapInput is what an operator may decide about a new platform.
type BootstrapInput struct {
	PlatformSlug string
	TrustDomain  string
	GatewayAddr  string
	CAAddr       string
}

// Bootstrap creates the platform: its tenant with a random id, the root, its
// intermediate and the record of its sync service. The bool tells whether it
// did; on a platform that is there it changes nothing.
func (c *Core) Bootstrap(ctx context.Context, actor Actor, in BootstrapInput) (PlatformInfo, bool, error) {
	done, err := c.administer(ctx)
	if err != nil {
		return PlatformInfo{}, false, err
	}
	defer done()
	if p, err := c.ready(); err == nil {
		return p.info(), false, nil
	}
	// Another process may have been faster.
	if err := c.load(ctx); err != nil {
		return PlatformInfo{}, false, err
	}
	if p, err := c.ready(); err == nil {
		return p.info(), false, nil
	}
	in, invalid := checkBootstrap(in)
	if invalid != nil {
		return PlatformInfo{}, false, invalid
	}
	// What an attempt left that never came to a platform.
	if err := c.finishRemovals(ctx); err != nil {
		return PlatformInfo{}, false, err
	}
	if err := c.createPlatform(ctx, actor, in); err != nil {
		return PlatformInfo{}, false, err
	}
	if err := c.load(ctx); err != nil {
		return PlatformInfo{}, false, err
	}
	info, err := c.PlatformInfo(ctx)
	return info, err == nil, err
}

func checkBootstrap(in BootstrapInput) (BootstrapInput, *Error) {
	for _, field := range []struct {
		value    *string
		fallback string
	}{
		{&in.PlatformSlug, DefaultPlatformSlug},
		{&in.TrustDomain, DefaultTrustDomain},
		{&in.GatewayAddr, DefaultGatewayAddr},
	} {
		if *field.value == "" {
			*field.value = field.fallback
		}
	}
	if in.CAAddr == "" {
		_, port, _ := net.SplitHostPort(DefaultCAAddr)
		in.CAAddr = net.JoinHostPort(hostOf(in.GatewayAddr), port)
	}
	if err := certs.ValidLabel(in.PlatformSlug); err != nil {
		return in, invalid("check platform slug: %v", err)
	}
	for _, component := range []string{PlatformSyncName, gatewayComponent} {
		if _, err := certs.CommonName(component, defaultPartition, in.PlatformSlug, in.TrustDomain); err != nil {
			return in, invalid("check platform names: %v", err)
		}
	}
	if err := validAddr("gateway address", in.GatewayAddr); err != nil {
		return in, err
	}
	return in, validAddr("CA address", in.CAAddr)
}

// createPlatform makes everything in the platform tenant's own store first; the
// platform's row, written last and with all it needs, is what makes it count.
func (c *Core) createPlatform(ctx context.Context, actor Actor, in BootstrapInput) error {
	now := c.now()
	tenant := Tenant{
		ID: uuid.New(), Slug: in.PlatformSlug, Name: "Platform", IsPlatform: true,
		State: TenantActive, PlatformSync: true, CreatedAt: now,
	}
	authorities, err := c.newPlatformAuthorities(tenant, in.TrustDomain, now)
	if err != nil {
		return err
	}
	if err := c.reserveTenant(ctx, tenant); err != nil {
		return err
	}
	store, err := c.store.CreateTenant(ctx, tenant.ID)
	if err != nil {
		return fmt.Errorf("create store of the platform tenant: %w", err)
	}
	service := SyncService{
		ID: uuid.New(), Name: PlatformSyncName, ComponentID: PlatformSyncName, Partition: defaultPartition,
		Type: ServiceSaaS, IsPlatformSync: true, State: ServiceActive, CreatedAt: now,
	}
	err = c.change(ctx, scope{tenant, store}, func(tx TenantTx, events *eventLog) error {
		events.add(actor, Event{Type: "platform.bootstrapped", Message: "platform bootstrapped"})
		events.add(actor, Event{Type: "service.created", ServiceID: service.ID, Message: "sync service " + service.Name + " recorded"})
		return tx.PutService(ctx, service)
	})
	if err != nil {
		return fmt.Errorf("record platform sync service: %w", err)
	}
	return c.commitPlatform(ctx, tenant, authorities, Platform{
		TenantID: tenant.ID, Slug: tenant.Slug, TrustDomain: in.TrustDomain,
		GatewayAddr: in.GatewayAddr, CAAddr: in.CAAddr, CreatedAt: now,
	})
}

func (c *Core) newPlatformAuthorities(tenant Tenant, trustDomain string, now time.Time) ([]Authority, error) {
	root, err := issue.NewRoot(trustDomain, now)
	if err != nil {
		return nil, err
	}
	intermediate, err := root.NewPlatformIntermediate(tenant.Slug, now)
	if err != nil {
		return nil, err
	}
	rootRow, err := c.sealAuthority(AuthorityRoot, uuid.Nil, root, now)
	if err != nil {
		return nil, err
	}
	row, err := c.sealAuthority(AuthorityPlatform, tenant.ID, intermediate, now)
	return []Authority{rootRow, row}, err
}

func (c *Core) commitPlatform(ctx context.Context, tenant Tenant, authorities []Authority, platform Platform) error {
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		if _, err := tx.Platform(ctx); !errors.Is(err, ErrNotFound) {
			if err == nil {
				return aborted("bootstrap platform: another bootstrap was faster: run it again to see its result")
			}
			return err
		}
		if err := tx.PutTenant(ctx, tenant); err != nil {
			return err
		}
		for _, authority := range authorities {
			if err := tx.PutAuthority(ctx, authority); err != nil {
				return err
			}
		}
		return tx.PutPlatform(ctx, platform)
	})
	if err != nil {
		return doing(err, "record platform")
	}
	return nil
}
