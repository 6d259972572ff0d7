package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Issuer is an accepted issuing key and whom it speaks for.
type Issuer struct {
	TenantID uuid.UUID
	// Tenant is the slug.
	Tenant string
	// Platform is true for the platform's own intermediate.
	Platform    bool
	Certificate *x509.Certificate
}

// KeyID is the name of an authority's key in Issuers: its subject key id, hex.
func KeyID(authority *x509.Certificate) string {
	return hex.EncodeToString(authority.SubjectKeyId)
}

// Issuers are the issuing keys whose leaves are accepted. A tenant whose keys
// are not in it does not exist for a handshake. It is safe for concurrent use,
// and finding a key costs the same however many there are.
type Issuers struct {
	// Now is the clock of ServerTLS; time.Now unless set before use.
	Now func() time.Time

	root        *x509.Certificate
	roots       *x509.CertPool
	trustDomain string

	mu      sync.RWMutex
	byKey   map[string]*accepted
	revoked map[revocation]time.Time
}

// accepted is an issuer with the pool that holds it alone, made once.
type accepted struct {
	Issuer
	pool *x509.CertPool
}

type revocation struct {
	tenant uuid.UUID
	serial string
}

// NewIssuers makes an empty registry under a root.
func NewIssuers(root *x509.Certificate) (*Issuers, error) {
	authority, err := ReadAuthority(root)
	if err != nil {
		return nil, fmt.Errorf("accept root: %w", err)
	}
	if authority.Kind != KindRoot {
		return nil, fmt.Errorf("accept root: the certificate is of kind %q", authority.Kind)
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("accept root: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &Issuers{
		Now: time.Now, root: root, roots: roots, trustDomain: authority.TrustDomain,
		byKey: map[string]*accepted{}, revoked: map[revocation]time.Time{},
	}, nil
}

// TrustDomain is the root's.
func (i *Issuers) TrustDomain() string { return i.trustDomain }

// Add accepts an issuing key once its certificate is found to be the root's
// work and to be bound to the tenant it is said to be of. Adding a key again
// replaces its certificate; a key that is another tenant's is refused.
func (i *Issuers) Add(issuer Issuer) error {
	if err := i.check(issuer); err != nil {
		return fmt.Errorf("accept issuer of tenant %q: %w", issuer.Tenant, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(issuer.Certificate)
	id := string(issuer.Certificate.SubjectKeyId)
	i.mu.Lock()
	defer i.mu.Unlock()
	if old := i.byKey[id]; old != nil && (old.TenantID != issuer.TenantID || !samePublicKey(old.Certificate, issuer.Certificate)) {
		return fmt.Errorf("accept issuer of tenant %q: its key id is that of tenant %q", issuer.Tenant, old.Tenant)
	}
	i.byKey[id] = &accepted{Issuer: issuer, pool: pool}
	return nil
}

func (i *Issuers) check(issuer Issuer) error {
	if issuer.TenantID == uuid.Nil {
		return errors.New("the tenant's id is zero")
	}
	if issuer.Certificate == nil {
		return errors.New("there is no certificate")
	}
	authority, err := ReadAuthority(issuer.Certificate)
	if err != nil {
		return err
	}
	kind := KindTenant
	if issuer.Platform {
		kind = KindPlatform
	}
	if want := (Authority{Kind: kind, Tenant: issuer.Tenant, TrustDomain: i.trustDomain}); authority != want {
		return fmt.Errorf("the certificate says %+v, not %+v", authority, want)
	}
	if !authority.constrained(issuer.Certificate) {
		return errors.New("the certificate lacks path length 0 or its name constraints")
	}
	if len(issuer.Certificate.SubjectKeyId) == 0 || samePublicKey(issuer.Certificate, i.root) {
		return errors.New("the certificate has no key id, or the root's key")
	}
	return issuer.Certificate.CheckSignatureFrom(i.root)
}

func samePublicKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// Remove stops accepting one issuing key.
func (i *Issuers) Remove(keyID string) {
	id, err := hex.DecodeString(keyID)
	if err != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.byKey, string(id))
}

// RemoveTenant stops accepting every key of a tenant.
func (i *Issuers) RemoveTenant(tenant uuid.UUID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, issuer := range i.byKey {
		if issuer.TenantID == tenant {
			delete(i.byKey, id)
		}
	}
	for r := range i.revoked {
		if r.tenant == tenant {
			delete(i.revoked, r)
		}
	}
}

// Revoke refuses one leaf of a tenant by its decimal serial until it ends by
// itself; after that the entry may be forgotten.
func (i *Issuers) Revoke(tenant uuid.UUID, serial string, notAfter time.Time) {
	now := i.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	for r, until := range i.revoked {
		if now.After(until) {
			delete(i.revoked, r)
		}
	}
	i.revoked[revocation{tenant, serial}] = notAfter
}

func (i *Issuers) find(authorityKeyID []byte) *accepted {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.byKey[string(authorityKeyID)]
}

func (i *Issuers) isRevoked(tenant uuid.UUID, serial string) bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	_, found := i.revoked[revocation{tenant, serial}]
	return found
}
