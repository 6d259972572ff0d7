package core

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/dire"
	"edgesync/seal"
)

// maxTold bounds how many findings of one kind are told one by one.
const maxTold = 5

// Audit looks in a store for what should never be, beside what the store finds
// out by itself: sealed values that do not open, authorities that do not verify,
// assertions that are not what was hashed, rows that name what is not there. visit
// is told what was found in each part: the platform's, which has the zero tenant,
// and each tenant's.
func Audit(ctx context.Context, store Store, keyset *seal.Keyset, visit func(tenant uuid.UUID, problems []string) error) error {
	a := &audit{store: store, keyset: keyset, runs: map[uuid.UUID]map[uuid.UUID]bool{}}
	if err := a.read(ctx); err != nil {
		return fmt.Errorf("audit platform: %w", err)
	}
	for _, tenant := range a.tenants {
		if tenant.State == TenantRemoving {
			continue
		}
		a.found = findings{}
		if err := a.tenant(ctx, tenant); err != nil {
			return fmt.Errorf("audit tenant %s: %w", tenant.Slug, err)
		}
		if err := visit(tenant.ID, a.found.list); err != nil {
			return err
		}
	}
	a.found = findings{}
	if err := a.trust(ctx); err != nil {
		return fmt.Errorf("audit platform: %w", err)
	}
	return visit(uuid.Nil, a.found.list)
}

// findings are told one by one up to a number of each kind, and then counted.
type findings struct {
	list   []string
	counts map[string]int
}

func (f *findings) add(kind, format string, args ...any) {
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	f.counts[kind]++
	switch n := f.counts[kind]; {
	case n <= maxTold:
		f.list = append(f.list, kind+": "+fmt.Sprintf(format, args...))
	case n == maxTold+1:
		f.list = append(f.list, kind+": 1 more")
	default:
		i := slices.Index(f.list, fmt.Sprintf("%s: %d more", kind, n-maxTold-1))
		f.list[i] = fmt.Sprintf("%s: %d more", kind, n-maxTold)
	}
}

type audit struct {
	store  Store
	keyset *seal.Keyset
	found  findings

	platform    Platform
	tenants     []Tenant
	authorities []Authority
	operators   []Operator
	keys        map[uuid.UUID]TokenKey
	// shared are the platform's own services; runs are the tenants whose sources
	// each of them runs, as the tenants' rows say and as the index does.
	shared  map[uuid.UUID]bool
	runs    map[uuid.UUID]map[uuid.UUID]bool
	indexed map[uuid.UUID][]uuid.UUID
}

func (a *audit) read(ctx context.Context) error {
	err := a.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		if a.platform, err = tx.Platform(ctx); err != nil {
			return err
		}
		if a.tenants, err = tx.Tenants(ctx); err != nil {
			return err
		}
		if a.authorities, err = tx.Authorities(ctx); err != nil {
			return err
		}
		if a.operators, err = tx.Operators(ctx); err != nil {
			return err
		}
		a.keys = map[uuid.UUID]TokenKey{}
		for _, tenant := range a.tenants {
			key, err := tx.TokenKey(ctx, tenant.ID)
			if there, err := found(err); err != nil {
				return err
			} else if there {
				a.keys[tenant.ID] = key
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.readShared(ctx)
}

// readShared reads which services the platform lends to its tenants.
func (a *audit) readShared(ctx context.Context) error {
	a.shared, a.indexed = map[uuid.UUID]bool{}, map[uuid.UUID][]uuid.UUID{}
	own, err := a.store.Tenant(ctx, a.platform.TenantID)
	if there, err := found(err); err != nil || !there {
		return err // It is told as a tenant without a store.
	}
	err = own.View(ctx, func(tx TenantTx) error {
		services, err := tx.Services(ctx)
		for _, service := range services {
			a.shared[service.ID] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.store.Platform().View(ctx, func(tx PlatformTx) error {
		for service := range a.shared {
			tenants, err := tx.AssignedTenants(ctx, service)
			if err != nil {
				return err
			}
			a.indexed[service] = tenants
		}
		return nil
	})
}

func (a *audit) tenant(ctx context.Context, tenant Tenant) error {
	store, err := a.store.Tenant(ctx, tenant.ID)
	if errors.Is(err, ErrNotFound) {
		a.found.add("store", "the tenant has none")
		return nil
	}
	if err != nil {
		return err
	}
	return store.View(ctx, func(tx TenantTx) error {
		services, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		known := map[uuid.UUID]bool{}
		for _, service := range services {
			known[service.ID] = true
		}
		if err := a.sources(ctx, tx, tenant, known); err != nil {
			return err
		}
		tokens, err := tx.JoinTokens(ctx)
		if err != nil {
			return err
		}
		for _, token := range tokens {
			if !known[token.ServiceID] {
				a.found.add("join token", "%s is for sync service %s, which is not there", token.ID, token.ServiceID)
			}
		}
		return a.assertions(ctx, tx)
	})
}

func (a *audit) sources(ctx context.Context, tx TenantTx, tenant Tenant, services map[uuid.UUID]bool) error {
	sources, err := tx.Sources(ctx)
	if err != nil {
		return err
	}
	for _, source := range sources {
		service := source.SyncServiceID
		switch {
		case a.shared[service]:
			if a.runs[service] == nil {
				a.runs[service] = map[uuid.UUID]bool{}
			}
			a.runs[service][tenant.ID] = true
		case !services[service]:
			a.found.add("source", "%q is run by sync service %s, which is not there", source.Name, service)
		}
		for key, sealed := range source.Credentials {
			if _, err := a.keyset.Open(sealed, credentialAD(tenant.ID, source.ID, key)); err != nil {
				a.found.add("credential", "%s of source %q does not open", key, source.Name)
			}
		}
	}
	return nil
}

// assertions compares what is stored with what was hashed when it was.
func (a *audit) assertions(ctx context.Context, tx TenantTx) error {
	return tx.Assertions(ctx, func(one dire.Assertion) error {
		if dire.ContentHash(one.Partition, one.Facts) != one.Hash {
			a.found.add("assertion", "%s of source %s is not what was hashed", one.Key, one.Source)
		}
		return nil
	})
}

// trust looks at what the platform's own part holds.
func (a *audit) trust(ctx context.Context) error {
	if err := checkPlatform(a.platform, a.tenants); err != nil {
		a.found.add("platform", "%v", err)
	}
	slugs := map[uuid.UUID]string{}
	for _, tenant := range a.tenants {
		slugs[tenant.ID] = tenant.Slug
	}
	a.auditAuthorities(slugs)
	for _, tenant := range a.tenants {
		key, ok := a.keys[tenant.ID]
		if !ok {
			continue // It is made when it is first needed.
		}
		if _, err := a.keyset.Open(key.SealedKey, tokenKeyAD(tenant.ID, key.KeyID)); err != nil {
			a.found.add("token key", "that of tenant %s does not open", tenant.Slug)
		}
	}
	for _, operator := range a.operators {
		if operator.TenantID != uuid.Nil && slugs[operator.TenantID] == "" {
			a.found.add("operator", "%s is limited to tenant %s, which is not there", operator.Name, operator.TenantID)
		}
	}
	for service := range a.shared {
		for _, tenant := range a.tenants {
			is, indexed := a.runs[service][tenant.ID], slices.Contains(a.indexed[service], tenant.ID)
			if is != indexed && tenant.State != TenantRemoving {
				a.found.add("assignment", "the index and the sources of tenant %s disagree on service %s", tenant.Slug, service)
			}
		}
	}
	return ctx.Err()
}

func (a *audit) auditAuthorities(slugs map[uuid.UUID]string) {
	var roots []*x509.Certificate
	active := map[uuid.UUID]int{}
	for _, one := range a.authorities {
		if one.State == AuthorityActive {
			active[one.TenantID]++
		}
		if one.Kind != AuthorityRoot {
			continue
		}
		if root, err := x509.ParseCertificate(one.Certificate); err == nil {
			roots = append(roots, root)
		}
	}
	for _, one := range a.authorities {
		if problem := a.authority(one, roots, slugs); problem != "" {
			a.found.add("authority", "%s: %s", one.KeyID, problem)
		}
	}
	if n := active[uuid.Nil]; n != 1 {
		a.found.add("authority", "%d roots are active, not one", n)
	}
	for _, tenant := range a.tenants {
		if n := active[tenant.ID]; n != 1 && tenant.State != TenantRemoving {
			a.found.add("authority", "%d of tenant %s are active, not one", n, tenant.Slug)
		}
	}
}

// authority says what is wrong with one, or nothing.
func (a *audit) authority(one Authority, roots []*x509.Certificate, slugs map[uuid.UUID]string) string {
	certificate, err := x509.ParseCertificate(one.Certificate)
	if err != nil {
		return "its certificate cannot be read"
	}
	if one.Kind != AuthorityRoot && slugs[one.TenantID] == "" {
		return "its tenant is not there"
	}
	if certs.KeyID(certificate) != one.KeyID {
		return "its certificate is another's"
	}
	if !slices.ContainsFunc(roots, func(root *x509.Certificate) bool { return certificate.CheckSignatureFrom(root) == nil }) {
		return "no root has signed it"
	}
	named, err := certs.ReadAuthority(certificate)
	if err != nil || string(named.Kind) != string(one.Kind) || named.Tenant != slugs[one.TenantID] || named.TrustDomain != a.platform.TrustDomain {
		return "its certificate is not for what it is used for"
	}
	if cross, err := x509.ParseCertificates(one.CrossCertificates); err != nil {
		return "its certificates of retiring roots cannot be read"
	} else if slices.ContainsFunc(cross, func(c *x509.Certificate) bool { return certs.KeyID(c) != one.KeyID }) {
		return "a certificate of a retiring root is another's"
	}
	if one.State == AuthorityEnded && len(one.SealedKey) == 0 {
		return ""
	}
	key, err := a.keyset.Open(one.SealedKey, authorityAD(one.KeyID))
	if err != nil {
		return "its key does not open"
	}
	if _, err := issue.Load(one.Certificate, key); err != nil {
		return "its key is not that of its certificate"
	}
	return ""
}
