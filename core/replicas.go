package core

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
)

// administer takes the turn to change tenants as a whole, among all processes
// that serve the platform.
func (c *Core) administer(ctx context.Context) (done func(), err error) {
	c.administration.Lock()
	unlock, err := c.store.Lock(ctx, "administration")
	if err != nil {
		c.administration.Unlock()
		return nil, fmt.Errorf("take turn to change tenants: %w", err)
	}
	return func() {
		unlock()
		c.administration.Unlock()
	}, nil
}

// assigning takes the turn to change which service runs which source of a
// tenant, among all processes that serve the platform.
func (c *Core) assigning(ctx context.Context, tenant uuid.UUID) (done func(), err error) {
	lane := c.lane(tenant)
	lane.sources.Lock()
	unlock, err := c.store.Lock(ctx, "sources of "+tenant.String())
	if err != nil {
		lane.sources.Unlock()
		return nil, fmt.Errorf("take turn to change sources: %w", err)
	}
	return func() {
		unlock()
		lane.sources.Unlock()
	}, nil
}

// followPause is how long Follow waits after a notice it could not act on.
const followPause = time.Second

// Follow keeps what this process remembers of the platform in step with what the
// others that serve it change, and ends commands that are overdue, until ctx ends.
// It is for a process that stays.
func (c *Core) Follow(ctx context.Context) error {
	var sweeper sync.WaitGroup
	defer sweeper.Wait()
	sweeper.Go(func() { c.sweepCommands(ctx) })
	failing := false
	for {
		err := c.notifier.Listen(ctx, func(signal Signal) error {
			err := c.heed(ctx, signal)
			if err == nil && failing {
				failing = false
				c.log.Info("changes made by other processes are followed again")
			}
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		if !failing {
			failing = true
			c.log.Error("follow changes made by other processes", "error", err)
		}
		// Listening anew begins with TopicLost, so nothing is missed.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

func (c *Core) heed(ctx context.Context, signal Signal) error {
	switch signal.Topic {
	case TopicLost:
		if err := c.refresh(ctx, uuid.Nil); err != nil {
			return err
		}
		c.invalidateAll()
		return c.watchers.catchUpAll(ctx, c)
	case TopicTenant:
		err := c.refresh(ctx, signal.Tenant)
		c.changed(Change{Tenant: signal.Tenant})
		return err
	case TopicConfig:
		c.changed(Change{Tenant: signal.Tenant})
	case TopicRelay:
		var notice Notice
		if err := json.Unmarshal([]byte(signal.Data), &notice); err == nil {
			c.deliver(notice)
		}
	case TopicEvents:
		c.pulses.touch(signal.Tenant)
		return c.watchers.catchUp(ctx, c, signal.Tenant)
	}
	return nil
}

// refresh reads again whose identities are admitted: of one tenant, or of all.
func (c *Core) refresh(ctx context.Context, only uuid.UUID) error {
	c.trust.Lock()
	defer c.trust.Unlock()
	p, err := c.ready()
	if err != nil {
		return c.load(ctx) // It may have been bootstrapped by another process.
	}
	var stored trusted
	err = c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		stored, err = readTrusted(ctx, tx, only, c.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("read tenants again: %w", err)
	}
	if err := c.readmit(p, only, stored); err != nil {
		return err
	}
	return c.renew(p, stored.authorities)
}

// trusted is what is stored of whose identities are admitted.
type trusted struct {
	// tenants are all, or the one that was asked for if it is there.
	tenants     []Tenant
	authorities []Authority
	revocations []Revocation
}

func readTrusted(ctx context.Context, tx PlatformTx, only uuid.UUID, now time.Time) (stored trusted, err error) {
	if only == uuid.Nil {
		stored.tenants, err = tx.Tenants(ctx)
	} else {
		var one Tenant
		if one, err = tx.Tenant(ctx, only); err == nil {
			stored.tenants = []Tenant{one}
		} else if errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	if err == nil {
		stored.authorities, err = tx.Authorities(ctx)
	}
	if err == nil {
		stored.revocations, err = tx.Revocations(ctx, now)
	}
	return stored, err
}

// readmit brings the issuers in step with what is stored: roots first, because
// the others are signed by them.
func (c *Core) readmit(p *platform, only uuid.UUID, stored trusted) error {
	live := map[uuid.UUID]Tenant{}
	for _, tenant := range stored.tenants {
		if tenant.State != TenantRemoving {
			live[tenant.ID] = tenant
		}
	}
	for _, a := range stored.authorities {
		if a.Kind != AuthorityRoot || c.over(a) {
			continue
		}
		root, err := x509.ParseCertificate(a.Certificate)
		if err == nil {
			err = p.issuers.AddRoot(root)
		}
		if err != nil {
			return fmt.Errorf("use root certificate %s: %w", a.KeyID, err)
		}
	}
	keys := map[string]bool{}
	for _, a := range stored.authorities {
		tenant, ok := live[a.TenantID]
		if a.Kind == AuthorityRoot || !ok || c.over(a) {
			continue
		}
		keys[a.KeyID] = true
		if err := accept(p.issuers, tenant, a); err != nil {
			c.log.Error("leave out authority", "tenant", tenant.Slug, "key_id", a.KeyID, "error", err)
		}
	}
	p.issuers.Retain(func(tenant uuid.UUID, keyID string) bool {
		return only != uuid.Nil && tenant != only || keys[keyID]
	})
	for _, a := range stored.authorities {
		if a.Kind == AuthorityRoot && c.over(a) {
			p.issuers.RemoveRoot(a.KeyID)
		}
	}
	if only != uuid.Nil && len(live) == 0 {
		p.issuers.RemoveTenant(only)
	}
	c.restrict(p, only, stored)
	return nil
}

// restrict has handshakes, and what is under way, follow the tenants' states and
// the revocations that are stored.
func (c *Core) restrict(p *platform, only uuid.UUID, stored trusted) {
	refuseStored(p.issuers, stored.tenants, stored.revocations)
	refused := map[uuid.UUID]bool{}
	for _, tenant := range stored.tenants {
		if tenant.State == TenantActive {
			p.issuers.Resume(tenant.ID)
			continue
		}
		refused[tenant.ID] = true
	}
	if only != uuid.Nil && len(stored.tenants) == 0 {
		refused[only] = true
	}
	for tenant := range refused {
		c.lane(tenant).forgetAdmitted()
		c.revocations.tell(certs.Revocation{TenantID: tenant})
	}
}

// renew has the platform use its own authorities as they are stored now, and
// those tell of it whose certificates are to be made anew.
func (c *Core) renew(p *platform, authorities []Authority) error {
	fresh := &platform{Platform: p.Platform, issuers: p.issuers, restorations: p.restorations}
	if err := c.openOwn(fresh, authorities); err != nil {
		return err
	}
	if slices.EqualFunc(p.roots, fresh.roots, (*x509.Certificate).Equal) &&
		p.authority.Certificate.Equal(fresh.authority.Certificate) &&
		slices.EqualFunc(p.authority.cross, fresh.authority.cross, (*x509.Certificate).Equal) {
		return nil
	}
	c.mu.Lock()
	c.platform = fresh
	c.mu.Unlock()
	c.authorities.tell(struct{}{})
	return nil
}

// relayed sends a notice by the way of signals. Of a change the store has told
// already, as part of its commit.
func (c *Core) relayed(ctx context.Context, notice Notice) error {
	if notice.Change != nil {
		return nil
	}
	data, err := json.Marshal(notice)
	if err != nil {
		return err
	}
	return c.notifier.Notify(ctx, Signal{Topic: TopicRelay, Data: string(data)})
}

// invalidateAll forgets what is remembered of every tenant.
func (c *Core) invalidateAll() {
	c.mu.RLock()
	tenants := make([]uuid.UUID, 0, len(c.lanes))
	for tenant := range c.lanes {
		tenants = append(tenants, tenant)
	}
	c.mu.RUnlock()
	for _, tenant := range tenants {
		c.changed(Change{Tenant: tenant})
	}
	c.configs.invalidate()
}
