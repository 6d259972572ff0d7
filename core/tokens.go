package core

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/certs/join"
	"edgesync/proto/shell"
	"edgesync/seal"
)

// TokenInput is what minting a join token takes.
type TokenInput struct {
	Tenant string
	// Name is what operators call the service; the component id is made of it.
	Name string
	// Partition defaults to "default".
	Partition string
	// GatewayAddr overrides the platform's in the token.
	GatewayAddr string
	// Life is how long the token is good for, join.DefaultLife when zero.
	Life time.Duration
}

// MintedToken is a join token; this is the only time its text is there.
type MintedToken struct {
	JoinToken
	Service           Service
	Text              string
	GatewayAddr       string
	GatewayServerName string
	CAURL             string
	RootFingerprint   string
}

// TokenState is what a join token is good for.
type TokenState string

// The states of a join token.
const (
	TokenGood      TokenState = "active"
	TokenUsed      TokenState = "used"
	TokenExpired   TokenState = "expired"
	TokenCancelled TokenState = "cancelled"
)

// TenantToken is a join token as operators see it.
type TenantToken struct {
	JoinToken
	Tenant Tenant
	State  TokenState
}

// MintToken records a sync service, unless it is there, and mints a token with
// which its host gets its identity. The service's earlier tokens are cancelled;
// an identity it has stays good until the token is redeemed.
func (c *Core) MintToken(ctx context.Context, actor Actor, in TokenInput) (MintedToken, error) {
	p, err := c.ready()
	if err != nil {
		return MintedToken{}, err
	}
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return MintedToken{}, err
	}
	component, err := onboardComponent(ctx, s, in.Name)
	if err != nil {
		return MintedToken{}, err
	}
	onboard, life, refusal := checkToken(p, s.tenant, in, component)
	if refusal != nil {
		return MintedToken{}, refusal
	}
	key, keyID, err := c.tokenKey(ctx, s.tenant)
	if err != nil {
		return MintedToken{}, err
	}
	now := c.now()
	info := p.info()
	token := join.Token{
		ID: uuid.NewString(), KeyID: keyID, Issuer: s.tenant.Slug,
		CAURL: "https://" + p.CAAddr, RootFingerprint: info.RootFingerprint,
		TrustDomain: p.TrustDomain, Tenant: s.tenant.Slug, Partition: onboard.Partition, Component: component,
		GatewayAddr: onboard.GatewayAddr, GatewayServerName: info.GatewayServerName,
		// A token's times are whole seconds.
		IssuedAt: now.Truncate(time.Second), ExpiresAt: now.Add(life).Truncate(time.Second),
	}
	text, err := token.Sign(key)
	if err != nil {
		return MintedToken{}, invalid("onboard %q: %v", in.Name, err)
	}
	minted := MintedToken{
		Text: text, GatewayAddr: onboard.GatewayAddr, GatewayServerName: info.GatewayServerName,
		CAURL: token.CAURL, RootFingerprint: info.RootFingerprint,
		JoinToken: JoinToken{
			ID: token.ID, Component: component, Partition: onboard.Partition,
			CreatedBy: actor.Name, CreatedAt: now, ExpiresAt: token.ExpiresAt,
		},
	}
	return c.recordToken(ctx, actor, s, onboard, minted)
}

func checkToken(p *platform, tenant Tenant, in TokenInput, component string) (OnboardInput, time.Duration, *Error) {
	onboard := OnboardInput{Tenant: in.Tenant, Name: in.Name, Partition: in.Partition, GatewayAddr: in.GatewayAddr}
	if tenant.IsPlatform {
		return onboard, 0, precondition("onboard %q: the platform's own sync service runs beside the platform and takes no join token", clean(in.Name, maxName))
	}
	life := in.Life
	if life == 0 {
		life = join.DefaultLife
	}
	if life < join.MinLife || life > join.MaxLife {
		return onboard, 0, invalid("onboard %q: a join token lives between %s and %s, not %s", clean(in.Name, maxName), shell.Duration(join.MinLife), shell.Duration(join.MaxLife), shell.Duration(in.Life))
	}
	onboard, err := checkOnboard(p, tenant, onboard, component)
	return onboard, life, err
}

func (c *Core) recordToken(ctx context.Context, actor Actor, s scope, in OnboardInput, minted MintedToken) (MintedToken, error) {
	var service SyncService
	err := c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		all, err := tx.ServicesCalled(ctx, in.Name, minted.Component)
		if err != nil {
			return err
		}
		made, old, err := onboardInto(all, in, minted.Component, c.now())
		if err != nil {
			return err
		}
		// A service that is there changes when the token is redeemed, not before.
		if service = old; old.ID == uuid.Nil || old.State == ServiceRemoved {
			service = made
			events.concern(service.ID)
			if err := tx.PutService(ctx, service); err != nil {
				return err
			}
		}
		minted.ServiceID = service.ID
		if err := c.prune(ctx, tx, s.tenant.ID); err != nil {
			return err
		}
		if _, err := tx.CancelJoinTokens(ctx, minted.Component, c.now()); err != nil {
			return err
		}
		events.add(actor, Event{
			Type: "token.created", ServiceID: service.ID, Message: "join token for sync service " + service.Name + " created",
			Details: map[string]string{"component_id": minted.Component, "token_id": minted.ID, "expires_at": minted.ExpiresAt.Format(time.RFC3339)},
		})
		return tx.AddJoinToken(ctx, minted.JoinToken)
	})
	if errors.Is(err, ErrConflict) {
		return MintedToken{}, exists("onboard %q: component id %s exists already", in.Name, minted.Component)
	}
	if err != nil {
		return MintedToken{}, doing(err, "record join token of %s", minted.Component)
	}
	minted.Service = Service{SyncService: service, Tenant: s.tenant}
	c.judge(&minted.Service, tally{})
	return minted, nil
}

// JoinTokens lists the tokens of a tenant, or with an empty slug of every
// tenant, the newest first.
func (c *Core) JoinTokens(ctx context.Context, slug string) ([]TenantToken, error) {
	if _, err := c.ready(); err != nil {
		return nil, err
	}
	var all []TenantToken
	err := c.scopes(ctx, slug, func(s scope) error {
		return s.store.View(ctx, func(tx TenantTx) error {
			tokens, err := tx.JoinTokens(ctx)
			if err != nil {
				return fmt.Errorf("list join tokens of tenant %s: %w", s.tenant.Slug, err)
			}
			for _, token := range tokens {
				all = append(all, TenantToken{JoinToken: token, Tenant: s.tenant, State: c.tokenState(token)})
			}
			return nil
		})
	})
	slices.SortStableFunc(all, func(a, b TenantToken) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return all, err
}

func (c *Core) tokenState(token JoinToken) TokenState {
	switch {
	case !token.UsedAt.IsZero():
		return TokenUsed
	case !token.CancelledAt.IsZero():
		return TokenCancelled
	case !c.now().Before(token.ExpiresAt):
		return TokenExpired
	}
	return TokenGood
}

// CancelToken makes a token worthless. Cancelling one that is so already is no
// change; one that was redeemed cannot be taken back.
func (c *Core) CancelToken(ctx context.Context, actor Actor, slug, id string) (TenantToken, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return TenantToken{}, err
	}
	var token JoinToken
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		token, err = tx.JoinToken(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return notFound("cancel join token %q of tenant %s: there is none: see `edgesync onboard tokens list`", clean(id, maxName), s.tenant.Slug)
		}
		if err != nil {
			return err
		}
		switch c.tokenState(token) {
		case TokenUsed:
			return precondition("cancel join token %s: %s has redeemed it: revoke the service instead (`edgesync service revoke`)", token.ID, token.Component)
		case TokenCancelled, TokenExpired:
			return nil
		}
		if _, err := tx.CancelJoinTokens(ctx, token.Component, c.now()); err != nil {
			return err
		}
		events.add(actor, Event{
			Type: "token.cancelled", ServiceID: token.ServiceID, Message: "join token for " + token.Component + " cancelled",
			Details: map[string]string{"component_id": token.Component, "token_id": token.ID},
		})
		token, err = tx.JoinToken(ctx, id)
		return err
	})
	if err != nil {
		return TenantToken{}, doing(err, "cancel join token")
	}
	return TenantToken{JoinToken: token, Tenant: s.tenant, State: c.tokenState(token)}, nil
}

func tokenKeyAD(tenant uuid.UUID, keyID string) []byte {
	return seal.AD("token-key", tenant.String(), keyID)
}

// tokenKey is what the tenant's join tokens are signed with, made when it is
// first asked for.
func (c *Core) tokenKey(ctx context.Context, tenant Tenant) (*ecdsa.PrivateKey, string, error) {
	stored, err := c.readTokenKey(ctx, tenant)
	if errors.Is(err, ErrNotFound) {
		if err = c.addTokenKey(ctx, tenant); err == nil || errors.Is(err, ErrConflict) {
			// In a conflict another was faster, and its key is the tenant's.
			stored, err = c.readTokenKey(ctx, tenant)
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("read token key of tenant %s: %w", tenant.Slug, err)
	}
	der, err := c.keyset.Open(stored.SealedKey, tokenKeyAD(tenant.ID, stored.KeyID))
	if err != nil {
		return nil, "", fmt.Errorf("open token key of tenant %s: %w", tenant.Slug, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, "", fmt.Errorf("load token key of tenant %s: %w", tenant.Slug, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, "", fmt.Errorf("load token key of tenant %s: it is a %T", tenant.Slug, parsed)
	}
	return key, stored.KeyID, nil
}

func (c *Core) readTokenKey(ctx context.Context, tenant Tenant) (TokenKey, error) {
	var stored TokenKey
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		stored, err = tx.TokenKey(ctx, tenant.ID)
		return err
	})
	return stored, err
}

func (c *Core) addTokenKey(ctx context.Context, tenant Tenant) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	id, err := join.KeyID(&key.PublicKey)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	sealed, err := c.keyset.Seal(der, tokenKeyAD(tenant.ID, id))
	if err != nil {
		return err
	}
	return c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		return tx.AddTokenKey(ctx, TokenKey{TenantID: tenant.ID, KeyID: id, SealedKey: sealed, CreatedAt: c.now()})
	})
}
