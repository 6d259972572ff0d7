// Package source declares what an adapter is: the reader of one kind of
// inventory system. Its subfolders hold one adapter each. An adapter knows its
// system's API and the shape of an update; it knows nothing of tenants,
// schedules, chunks or the gateway.
package source

import (
	"context"
	"time"

	"edgesync/proto/payload"
)

// Adapter reads one source. It holds no more than a page of it at a time.
type Adapter interface {
	// Discover reads the source and hands each device to emit exactly once. It
	// ends on the first error of emit or of the source. A Discovery returned
	// beside an error tells how far it came.
	Discover(ctx context.Context, request Request, emit func(payload.Update) error) (Discovery, error)
}

// Request says what a run is to read.
type Request struct {
	// Since is the start of the last complete run; an adapter that can reads
	// only what changed after it. Zero asks for all.
	Since time.Time
	// Sample asks for no more than an impression: the first page of each listing
	// or query is enough, whatever the Discovery then says of the whole.
	Sample bool
	// Lookup, if set, looks for some things in what the run reads.
	Lookup *Lookup
}

// Discovery is what a run found.
type Discovery struct {
	// Devices were emitted; Total is what the source said it has, or -1 where it
	// named no one number.
	Devices, Total int64
	// Blacklisted devices had no address outside the network blacklist, Unnamed
	// ones no id of the source's own; neither were emitted.
	Blacklisted, Unnamed int64
	// Mode is payload.ModeSnapshot only if all devices of the source were seen.
	Mode string
	// Partial says why a run that went through does not cover the source, such
	// as pages that drifted; empty when it does.
	Partial string
	// Lacks names the lists that the source turned out not to have ("/a/, /b/").
	Lacks string
}
