// Package dire is the device identity and reconciliation engine: it decides
// which updates of which sources are the same device. It is pure: a batch and
// the stored rows the batch can touch go in, a plan comes out. It does no I/O,
// has no clock and no logger, and imports the standard library only. It never
// sees more than one tenant.
//
// A batch is carried out in three steps: Rules.ProbeFor says what to ask the
// store, TenantTx.Neighbourhood answers, Rules.Plan says what to write.
package dire

import "time"

// Batch is what one source says in one chunk of one run.
type Batch struct {
	// Source scopes native ids: the integration source's UUID, or for a client
	// without one "<component id>/<source type>".
	Source string
	// SourceType, Confidence and Partition are the source record's.
	SourceType string
	Confidence int
	Partition  string
	Run        Run
	// Received is when the batch arrived; timestamps after it are clamped to it.
	Received time.Time
	Updates  []Update
}

// Run is one discovery of one source.
type Run struct {
	ID string
	// Started orders the runs of a source. Zero in a Batch means Received.
	Started time.Time
	// Chunk is the number of the run's chunk that is meant, from 1; 0 where it is
	// not known. It is no part of what run it is.
	Chunk int
}

// Update is one device as a source says it. Spellings may be any: the engine
// normalises them.
type Update struct {
	// NativeID is the source's own id of the thing ("device:7"), or empty.
	NativeID string
	// MACs and IPs hold every one the update names, the primary first. An
	// element may itself be a list, separated by commas, semicolons or spaces.
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
	// Deleted is the source's word that the thing is gone.
	Deleted bool
	// SeenAt zero means Received.
	SeenAt   time.Time
	Metadata map[string]string
}
