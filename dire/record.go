package dire

import "time"

// Assertion is what one source says now of one thing, as stored.
type Assertion struct {
	Source string
	// Key is what the thing is known by within its source.
	Key       string
	Partition string
	Facts     Facts
	// Hash is over what is asserted, not over when: equal facts, equal hash.
	Hash [32]byte
	Run  Run
	// HomeID is the assertion's own id; DeviceID is the device it is part of.
	HomeID, DeviceID    string
	FirstSeen, LastSeen time.Time
	Retracted           bool
}

// Facts are an update in canonical spelling: MACs as lower-case colon hex,
// addresses as netip prints them, host names in lower case.
type Facts struct {
	NativeID     string
	MACs, IPs    []string
	Hostname     string
	SerialNumber string
	Manufacturer string
	Model        string
	OS           string
	DeviceType   string
	Site         string
	Tags         []string
	Available    bool
	SourceType   string
	Confidence   int
	Metadata     map[string]string
}

// Device is the canonical record: the current value of each field over all that
// is asserted of it.
type Device struct {
	// ID is "sr:" and a UUID.
	ID        string
	Partition string
	// IP, MAC and Hostname are primary values; IPs and MACs hold all.
	IP, MAC, Hostname   string
	IPs, MACs           []string
	SerialNumber        string
	Manufacturer        string
	Model               string
	OS                  string
	DeviceType          string
	Site                string
	Tags                []string
	Available           bool
	Retracted           bool
	Sources             []string
	FirstSeen, LastSeen time.Time
}
