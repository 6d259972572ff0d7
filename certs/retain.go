package certs

import (
	"encoding/hex"

	"github.com/google/uuid"
)

// Retain stops accepting the issuing keys that keep does not want.
func (i *Issuers) Retain(keep func(tenant uuid.UUID, keyID string) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, issuer := range i.byKey {
		if !keep(issuer.TenantID, hex.EncodeToString([]byte(id))) {
			delete(i.byKey, id)
		}
	}
}
