package dire

// Probe names the stored rows a batch can touch: the assertions it speaks of,
// and everything that shares an identifier or an address with what it says.
type Probe struct {
	Source    string
	Partition string
	// Keys are the assertion keys of the batch.
	Keys []string
	// Identifiers are the hardware ids and addresses the batch names.
	Identifiers []Identifier
}

// Identifier is one thing a device can be recognised by, within a partition.
type Identifier struct {
	Kind  IdentifierKind
	Value string
}

// IdentifierKind is the namespace of an identifier's value.
type IdentifierKind string

// The kinds of identifier. MACs that are not globally unique are weak.
const (
	IdentifierMAC     IdentifierKind = "mac"
	IdentifierSerial  IdentifierKind = "serial"
	IdentifierWeakMAC IdentifierKind = "weak_mac"
	IdentifierIP      IdentifierKind = "ip"
)

// Neighbourhood is what the store holds of a probe: the assertions of its keys,
// and those that shared hardware ids lead to from the batch's identifiers and
// from the ones the stored assertions of its keys hold, followed to the end.
type Neighbourhood struct {
	Assertions []Assertion
}

// Plan is what a batch changes. A store carries it out in one transaction.
type Plan struct {
	// Put are assertions to insert or replace, with their identifiers.
	Put []Assertion
	// Seen are assertions whose facts did not change.
	Seen []Seen
	// Devices are canonical records to insert or replace.
	Devices []Device
	// Gone are ids that no longer head a device. They redirect to where the
	// assertion whose home they are is now.
	Gone  []string
	Stats Stats
	// Findings are what the rules refused to link, with the evidence.
	Findings []Finding
}

// Seen refreshes when an assertion was last seen and by which run.
type Seen struct {
	Source, Key string
	Run         Run
	LastSeen    int64
}

// Stats counts the updates of a batch; they add up to its length.
type Stats struct {
	Stored, Unchanged, Superseded int
}

// Finding is one identifier that links nobody for now.
type Finding struct {
	// Rule is "ambiguous" or "chain".
	Rule       string
	Partition  string
	Identifier Identifier
	// Assertions are the (source, key) pairs that hold it.
	Assertions [][2]string
}
