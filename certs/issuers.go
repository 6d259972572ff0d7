package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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
	// Until is when a key that was replaced stops being accepted; zero means not
	// before its certificate ends.
	Until time.Time
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

	trustDomain string

	mu        sync.RWMutex
	roots     []*x509.Certificate
	pool      *x509.CertPool
	byKey     map[string]*accepted
	revoked   map[revocation]time.Time
	suspended map[uuid.UUID]bool
	// sweepAt is how many revocations are kept before the ended ones are dropped.
	sweepAt int
}

const minSweep = 64

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
	authority, err := readRoot(root)
	if err != nil {
		return nil, err
	}
	i := &Issuers{
		Now: time.Now, trustDomain: authority.TrustDomain,
		byKey: map[string]*accepted{}, revoked: map[revocation]time.Time{}, suspended: map[uuid.UUID]bool{},
	}
	return i, i.AddRoot(root)
}

func readRoot(root *x509.Certificate) (Authority, error) {
	authority, err := ReadAuthority(root)
	if err != nil {
		return Authority{}, fmt.Errorf("accept root: %w", err)
	}
	if authority.Kind != KindRoot {
		return Authority{}, fmt.Errorf("accept root: the certificate is of kind %q", authority.Kind)
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return Authority{}, fmt.Errorf("accept root: %w", err)
	}
	return authority, nil
}

// AddRoot accepts one more root, of the same trust domain: during a rotation
// there are two.
func (i *Issuers) AddRoot(root *x509.Certificate) error {
	authority, err := readRoot(root)
	if err != nil {
		return err
	}
	if authority.TrustDomain != i.trustDomain {
		return fmt.Errorf("accept root: it is of trust domain %q, not %q", authority.TrustDomain, i.trustDomain)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !slices.ContainsFunc(i.roots, root.Equal) {
		i.setRoots(append(slices.Clone(i.roots), root))
	}
	return nil
}

// RemoveRoot stops accepting a root. Intermediates that only it has signed are
// refused from then on. The last root stays.
func (i *Issuers) RemoveRoot(keyID string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(i.roots), func(r *x509.Certificate) bool { return KeyID(r) == keyID })
	if len(left) > 0 {
		i.setRoots(left)
	}
}

func (i *Issuers) setRoots(roots []*x509.Certificate) {
	i.roots, i.pool = roots, x509.NewCertPool()
	for _, root := range roots {
		i.pool.AddCert(root)
	}
}

func (i *Issuers) rootPool() *x509.CertPool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.pool
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
	if len(issuer.Certificate.SubjectKeyId) == 0 {
		return errors.New("the certificate has no key id")
	}
	return i.checkSignature(issuer.Certificate)
}

// checkSignature wants the certificate to be the work of one of the roots.
func (i *Issuers) checkSignature(certificate *x509.Certificate) error {
	i.mu.RLock()
	roots := i.roots
	i.mu.RUnlock()
	var failure error
	for _, root := range roots {
		if samePublicKey(certificate, root) {
			return errors.New("the certificate has a root's key")
		}
	}
	for _, root := range roots {
		if failure = certificate.CheckSignatureFrom(root); failure == nil {
			return nil
		}
	}
	return failure
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
	delete(i.suspended, tenant)
}

// Suspend refuses every leaf of a tenant until Resume.
func (i *Issuers) Suspend(tenant uuid.UUID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.suspended[tenant] = true
}

// Resume ends what Suspend began.
func (i *Issuers) Resume(tenant uuid.UUID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.suspended, tenant)
}

// Revoke refuses one leaf of a tenant by its decimal serial until it ends by
// itself; after that the entry may be forgotten.
func (i *Issuers) Revoke(tenant uuid.UUID, serial string, notAfter time.Time) {
	now := i.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked[revocation{tenant, serial}] = notAfter
	if len(i.revoked) < i.sweepAt {
		return
	}
	for r, until := range i.revoked {
		if now.After(until) {
			delete(i.revoked, r)
		}
	}
	// Twice what is left, so that revoking many costs no square of it.
	i.sweepAt = max(minSweep, 2*len(i.revoked))
}

func (i *Issuers) find(authorityKeyID []byte) *accepted {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.byKey[string(authorityKeyID)]
}

// standing is what an operator decided about a tenant's leaf: nil, or why it is
// refused.
func (i *Issuers) standing(issuer *Issuer, n names, serial string) *Refusal {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if _, found := i.revoked[revocation{issuer.TenantID, serial}]; found {
		return refuse(ReasonRevoked, "%s with serial %s was revoked", n.spiffe(), serial)
	}
	if i.suspended[issuer.TenantID] {
		return refuse(ReasonSuspended, "%s is of a tenant that is suspended", n.spiffe())
	}
	return nil
}
