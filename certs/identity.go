// Package certs says who a certificate is. It knows the names, the authorities
// that may issue them and how a verified chain is classified; issuing lives in
// certs/issue. It knows nothing of stores, gateways or the network.
package certs

import (
	"time"

	"github.com/google/uuid"
)

// Class is what the issuing key makes of a connection.
type Class string

// A connection is the platform's own or a tenant's.
const (
	ClassPlatform Class = "platform"
	ClassTenant   Class = "tenant"
)

// Type is the role a leaf is issued for: the first path element of its SPIFFE id.
type Type string

// The types of leaf there are.
const (
	TypeSync     Type = "sync"
	TypeAgent    Type = "agent"
	TypeGateway  Type = "gateway"
	TypeOperator Type = "operator"
)

// Identity is what a verified certificate proves. Class, TenantID and Tenant
// come from the key that issued it; the names inside have been found to agree.
type Identity struct {
	Class       Class
	Type        Type
	TenantID    uuid.UUID
	Tenant      string
	Partition   string
	Component   string
	TrustDomain string
	// Serial is the certificate's serial number, decimal.
	Serial              string
	NotBefore, NotAfter time.Time
	// Issuer is the key id of the authority that signed it.
	Issuer string
}

// SPIFFE is the identity's URI: spiffe://<trust domain>/<type>/<tenant>/<partition>/<component>.
func (i Identity) SPIFFE() string {
	return "spiffe://" + i.TrustDomain + "/" + string(i.Type) + "/" + i.Tenant + "/" + i.Partition + "/" + i.Component
}

// Peer is an identity at the other end of a connection.
type Peer struct {
	Identity
	// Addr is the remote address, host:port.
	Addr string
	// Claim is who a refused certificate says it is, in the words of whoever made
	// it; empty for a peer whose identity was proved.
	Claim string
}
