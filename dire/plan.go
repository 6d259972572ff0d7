package dire

import "time"

// Probe is a batch made ready: what to ask the store. ProbeFor makes it.
type Probe struct {
	// Source and Keys name the assertions the batch speaks of, each key once.
	Source string
	Keys   []string

	partition string
	run       Run
	received  time.Time
	// links is the operator's change this is the probe of, or nil.
	links *LinkChange
	// around are home ids to look around, to change nothing.
	around []string
	// because is why what the items retract is retracted.
	because Decision
	// items are what the batch says of Keys, at the same indexes; index finds them.
	items []item
	index map[string]int
	// identifiers is how many the items hold.
	identifiers int
	// repeated, superseded and refused are the updates the batch itself settles.
	repeated, superseded, refused int
}

// Known is what a store holds of one key of a probe: enough to tell whether the
// batch changes it. The names are those of Assertion.
type Known struct {
	Key         string
	Partition   string
	Hash        [32]byte
	Run         Run
	DeviceID    string
	LastSeen    time.Time
	RetractedAt time.Time
}

// Reach is where a store starts from to find the rows a batch can touch. All
// its lists may be empty, and are when the batch changes nothing.
type Reach struct {
	Source string
	// Keys are the stored assertions of Source that change.
	Keys []string
	// Partition is that of Identifiers: what the batch's changed updates say.
	// Partition of a stored key may differ: a source can be moved.
	Partition   string
	Identifiers []Identifier
	// Homes are the ids that new assertions would like to have.
	Homes []string
	// Members are the home ids of further stored assertions to start from.
	Members []string
}

// Neighbourhood is what the store answers to a Probe, from one consistent read.
//
// A store first reads Known, the stored rows of (probe.Source, probe.Keys), then
// asks probe.Reach(known), and if the Reach is not empty reads Homes and
// Assertions: the rows below, each once, in any order. More than these do no
// harm. An identifier is always meant within a partition, and "holds" means
// that it is among the Assertion.Identifiers that were last Put.
//
//  1. The walk. It starts at the stored assertions (reach.Source, reach.Keys), at
//     whatever partition they are in, at those with a HomeID of reach.Members, and
//     at the MACs and serials of reach.Identifiers. From an identifier of kind mac
//     or serial it goes to the assertions that hold it, retracted ones too; from
//     an assertion to the mac and serial identifiers it holds, and to those that
//     a Link, one that is not Apart, pairs it with; until there are no more. A
//     shared made-up id must not lead everywhere: of the native (Assertion.Native)
//     assertions of one source that hold one identifier and that the walk did not
//     start at, any two living and any two retracted ones are enough, and the walk
//     need not go through the others.
//  2. The weak ones: the assertions, retracted ones too, that hold as weak_ip an
//     address which an assertion of the walk or reach.Identifiers holds as ip.
//  3. Who has their address: for every address that an assertion of 2, of the
//     walk or reach.Identifiers holds as weak_ip, the living assertions that hold
//     it as ip. Where those outside the walk are of more than two devices, any two
//     of the devices are enough.
//  4. Every assertion whose DeviceID is the DeviceID of one of 1 to 3.
//
// A store that holds nothing of a probe answers an empty Neighbourhood.
type Neighbourhood struct {
	Known []Known
	// Homes are those of reach.Homes that are the HomeID of an assertion, of
	// whatever source and partition.
	Homes      []string
	Assertions []Assertion
	// Links are those of which an assertion of Assertions is a side, each once, in
	// any order.
	Links []Link
}

// Plan is what a batch changes. A store carries it out in one transaction. No
// row is in two of its lists, so their order does not matter, save that Devices
// are written after Seen.
type Plan struct {
	// Put are assertions to insert, or to replace whole by (Source, Key); their
	// Identifiers replace those that are indexed. An insert whose HomeID another
	// assertion has must fail.
	Put []Assertion
	// Seen are stored assertions of which nothing changed but when.
	Seen []Seen
	// Devices are canonical records to insert or to replace whole by ID.
	Devices []Device
	// Gone are ids that no longer head a device: their records are deleted. A
	// lookup by such an id finds the assertion whose HomeID it is, and that one's
	// DeviceID is the device.
	Gone []string
	// Links are operators' words to insert, or to replace by their pair; Unlinked
	// are pairs to forget, if there are any such.
	Links    []Link
	Unlinked []Pair
	// Decisions are to be kept, in this order.
	Decisions []Decision
	Stats     Stats
	// Retracted is how many stored assertions lived before and do not after.
	Retracted int
}

// Seen sets Run and LastSeen of the assertion (Source, Key), and LastSeen of the
// device record DeviceID where that is earlier.
type Seen struct {
	Source, Key, DeviceID string
	Run                   Run
	LastSeen              time.Time
}

// Stats counts the updates of a batch; they add up to its length.
type Stats struct {
	// Stored changed what is asserted, deletions included. Unchanged said again
	// what is stored. Superseded were older than what is stored, or than another
	// update of the batch. Refused name nothing a thing could be known by.
	Stored, Unchanged, Superseded, Refused int
	// Held is for those that whoever plans keeps out of a batch.
	Held int
}
