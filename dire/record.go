package dire

import "time"

// Assertion is what one source says now of one thing, as stored. (Source, Key)
// is unique in a tenant, and so is HomeID. Its times are UTC and whole
// microseconds, so that every store gives them back as they were.
type Assertion struct {
	Source string
	// Key is what the thing is known by within its source: "id:" and the native
	// id, else "mac:" and its lowest globally unique MAC, else "ip:" and its
	// first address, else "serial:" and its serial identifier, else "weak:" and its
	// lowest other MAC.
	Key       string
	Partition string
	Facts     Facts
	// Hash is over what is asserted, not over when: equal facts, equal hash.
	Hash [32]byte
	// Run is the latest run that asserted it. Its Started is zero for a thing
	// of which a deletion is all that was ever heard.
	Run Run
	// HomeID is the assertion's own id; it never changes. DeviceID is the device
	// it is part of.
	HomeID, DeviceID    string
	FirstSeen, LastSeen time.Time
	// Changed is when it was first seen with the facts it has.
	Changed time.Time
	// RetractedAt is zero for a living assertion, else the start of the run
	// that took it back.
	RetractedAt time.Time
	// Identifiers are what a store indexes the assertion by, in its Partition.
	// Plan sets them in Put; a Neighbourhood need not carry them.
	Identifiers []Identifier
}

// Retracted tells whether the source no longer says what is asserted.
func (a *Assertion) Retracted() bool { return !a.RetractedAt.IsZero() }

// Native tells whether the source knows the thing by an id of its own.
func (a *Assertion) Native() bool { return a.Facts.NativeID != "" }

// Identifier is one thing a device can be recognised by, within a partition.
type Identifier struct {
	Kind  IdentifierKind
	Value string
}

// IdentifierKind is the namespace of an identifier's value.
type IdentifierKind string

// The kinds of identifier. The first two are hardware ids and link assertions.
// An assertion with a native id or a hardware id is strong, any other is weak;
// their addresses are told apart, because weak ones look for strong ones.
const (
	// IdentifierMAC is a globally unique MAC.
	IdentifierMAC IdentifierKind = "mac"
	// IdentifierSerial is a manufacturer with a serial number.
	IdentifierSerial IdentifierKind = "serial"
	// IdentifierIP is an address a strong assertion has.
	IdentifierIP IdentifierKind = "ip"
	// IdentifierWeakIP is an address a weak assertion has.
	IdentifierWeakIP IdentifierKind = "weak_ip"
)

// Facts are an update in canonical spelling: MACs as lower-case colon hex,
// addresses as netip prints them, host names in lower case.
type Facts struct {
	NativeID     string            `json:"native_id,omitempty"`
	MACs         []string          `json:"macs,omitempty"`
	IPs          []string          `json:"ips,omitempty"`
	Hostname     string            `json:"hostname,omitempty"`
	SerialNumber string            `json:"serial_number,omitempty"`
	Manufacturer string            `json:"manufacturer,omitempty"`
	Model        string            `json:"model,omitempty"`
	OS           string            `json:"os,omitempty"`
	DeviceType   string            `json:"device_type,omitempty"`
	Site         string            `json:"site,omitempty"`
	Tags         []string          `json:"tags,omitempty"`
	Available    bool              `json:"available,omitempty"`
	SourceType   string            `json:"source_type,omitempty"`
	Confidence   int               `json:"confidence,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// Device is the canonical record: the current value of each field over all that
// is asserted of it.
type Device struct {
	// ID is "sr:" and a UUID.
	ID        string
	Partition string
	// IP, MAC and Hostname are primary values; IPs and MACs hold all.
	IP, MAC, Hostname string
	IPs, MACs         []string
	SerialNumber      string
	Manufacturer      string
	Model             string
	OS                string
	DeviceType        string
	Site              string
	Tags              []string
	Available         bool
	// Retracted is true when no living assertion is part of it.
	Retracted bool
	// Sources are those that assert it now, or did when it is retracted.
	Sources             []string
	FirstSeen, LastSeen time.Time
}
