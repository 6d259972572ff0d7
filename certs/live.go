package certs

import (
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Revocation names identities that were accepted before and are not any more.
type Revocation struct {
	TenantID uuid.UUID `json:"tenant_id"`
	// Type and Component limit it to one component of the tenant; a zero
	// Component means all of them.
	Type      Type   `json:"type,omitempty"`
	Component string `json:"component,omitempty"`
	// Serials limits it to these certificates of the component; nil means all.
	Serials []string `json:"serials"`
}

// Covers says whether the revocation is about an identity.
func (r Revocation) Covers(i Identity) bool {
	switch {
	case r.TenantID != i.TenantID:
		return false
	case r.Component == "":
		return true
	}
	return r.Type == i.Type && r.Component == i.Component && (r.Serials == nil || slices.Contains(r.Serials, i.Serial))
}

// Live is what is under way on behalf of identities, connections or calls, so
// that it can be ended when an identity is revoked. The zero value is ready, and
// it is safe for concurrent use.
type Live struct {
	mu       sync.Mutex
	byTenant map[uuid.UUID]map[*living]struct{}
}

type living struct {
	identity Identity
	end      func()
}

// Add notes something that end, which must not block, brings to an end. It is
// noted until remove is called.
func (l *Live) Add(identity Identity, end func()) (remove func()) {
	one := &living{identity, end}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byTenant == nil {
		l.byTenant = map[uuid.UUID]map[*living]struct{}{}
	}
	if l.byTenant[identity.TenantID] == nil {
		l.byTenant[identity.TenantID] = map[*living]struct{}{}
	}
	l.byTenant[identity.TenantID][one] = struct{}{}
	return func() { l.remove(one) }
}

func (l *Live) remove(one *living) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tenant := one.identity.TenantID
	delete(l.byTenant[tenant], one)
	if len(l.byTenant[tenant]) == 0 {
		delete(l.byTenant, tenant)
	}
}

// End ends all that a revocation covers.
func (l *Live) End(r Revocation) {
	l.mu.Lock()
	var covered []*living
	for one := range l.byTenant[r.TenantID] {
		if r.Covers(one.identity) {
			covered = append(covered, one)
		}
	}
	l.mu.Unlock()
	for _, one := range covered {
		one.end()
	}
}
