package core

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"edgesync/dire"
)

// TraceQuery says which device is looked for.
type TraceQuery struct {
	// Tenant is a slug.
	Tenant string
	// Query is what the device is known by, and By what that is: one of the
	// By constants, or empty to go by how it looks.
	Query, By string
	// Source is a source's name or id: only its way is followed. Empty means every
	// source of the tenant.
	Source string
	// Stored leaves it at what the platform knows: no source is read.
	Stored bool
}

// What a device can be looked for by.
const (
	ByID       = "id"
	ByNativeID = "native-id"
	ByMAC      = "mac"
	ByIP       = "ip"
	ByHostname = "hostname"
	// ByName is a native id or a host name.
	ByName = "name"
)

// Verdict is whether a device is on the platform.
type Verdict string

// The verdicts. What is retracted is kept, and no longer there for any source.
const (
	VerdictPresent   Verdict = "present"
	VerdictRetracted Verdict = "retracted"
	VerdictMissing   Verdict = "missing"
	VerdictUnknown   Verdict = "unknown"
)

// TraceReason is what a verdict is due to.
type TraceReason string

// The reasons, in the order of a device's way.
const (
	ReasonTenantSuspended    TraceReason = "tenant_suspended"
	ReasonSourceDisabled     TraceReason = "source_disabled"
	ReasonNoService          TraceReason = "no_service"
	ReasonServiceRevoked     TraceReason = "service_revoked"
	ReasonCertificateExpired TraceReason = "certificate_expired"
	ReasonServiceOffline     TraceReason = "service_offline"
	ReasonSourceDown         TraceReason = "source_down"
	ReasonNotAsked           TraceReason = "not_asked"
	ReasonAbsent             TraceReason = "absent"
	ReasonFiltered           TraceReason = "filtered"
	ReasonBlacklisted        TraceReason = "blacklisted"
	ReasonUnnamed            TraceReason = "unnamed"
	ReasonInvalid            TraceReason = "invalid"
	ReasonNotDue             TraceReason = "not_due"
	ReasonOutboxFull         TraceReason = "outbox_full"
	ReasonSuperseded         TraceReason = "superseded"
	ReasonDamaged            TraceReason = "damaged"
	ReasonWaiting            TraceReason = "waiting"
	ReasonRefused            TraceReason = "refused_by_gateway"
	ReasonRetracted          TraceReason = "retracted"
	ReasonHeldRetraction     TraceReason = "held_retraction"
	ReasonLeaving            TraceReason = "no_longer_named"
	ReasonMerged             TraceReason = "merged"
	ReasonStored             TraceReason = "stored"
)

// DeviceTrace is the way of a device from the sources of a tenant.
type DeviceTrace struct {
	Tenant    Tenant
	Query, By string
	Finding
	// Devices are what the platform has that fits.
	Devices []DeviceView
	Sources []SourceTrace
}

// Finding is what a trace comes to.
type Finding struct {
	Verdict Verdict
	Reason  TraceReason
	// Summary is one line that says it, Next one that says what to do, or empty.
	Summary, Next string
}

// SourceTrace is the way of a device from one source.
type SourceTrace struct {
	Source Source
	// Service runs the source; its ID is zero where none does.
	Service Service
	Finding
	// RunID is the run that the finding is about, TraceID its trace.
	RunID, TraceID string
	// Steps are the stages in order, all of them.
	Steps []TraceStep
}

// TraceStep is one stage of a device's way.
type TraceStep struct {
	Stage TraceStage
	State StepState
	Text  string
	// At is when, zero where that is not known.
	At time.Time
	// List, Page and Place say where on a source's pages, Chunk which of Chunks of
	// the run, each from 1; 0 where that is not known.
	List                       string
	Page, Place, Chunk, Chunks int
}

// TraceStage is a stage of a device's way.
type TraceStage string

// The stages.
const (
	StageSource   TraceStage = "source"
	StagePage     TraceStage = "page"
	StageRun      TraceStage = "run"
	StageChunk    TraceStage = "chunk"
	StageStream   TraceStage = "stream"
	StageCommit   TraceStage = "commit"
	StageDecision TraceStage = "decision"
)

// StepState is whether the device has passed a stage.
type StepState string

// The states. What comes after a stage where a device stopped is not reached.
const (
	StepPassed     StepState = "passed"
	StepStopped    StepState = "stopped"
	StepWaiting    StepState = "waiting"
	StepUnknown    StepState = "unknown"
	StepNotReached StepState = "not_reached"
)

const (
	// maxTraced is how many devices a trace is about at most, maxAsked how many
	// sources are read for it, and askedAtOnce how many of those at once.
	maxTraced   = 5
	maxAsked    = 8
	askedAtOnce = 4
	// tracedRuns is how many runs of a source are looked at.
	tracedRuns = 20
)

// TraceDevice follows a device from each source of its tenant to where it is, and
// says why it is not on the platform if it is not. What the platform has stored
// of it, of runs and of services answers for the one end; the runtime that reads
// the source is asked for the other, if it can be reached.
func (c *Core) TraceDevice(ctx context.Context, actor Actor, query TraceQuery) (DeviceTrace, error) {
	by, text, err := query.kind()
	if err != nil {
		return DeviceTrace{}, err
	}
	s, err := c.scope(ctx, query.Tenant)
	if err != nil {
		return DeviceTrace{}, err
	}
	trace := DeviceTrace{Tenant: s.tenant, Query: text, By: by}
	ways, err := c.readWays(ctx, s, query.Source, &trace)
	if err != nil {
		return DeviceTrace{}, doing(err, "trace device of tenant %s", s.tenant.Slug)
	}
	if !query.Stored {
		if err := c.ask(ctx, actor, s, trace, ways); err != nil {
			return DeviceTrace{}, err
		}
	}
	for _, w := range ways {
		trace.Sources = append(trace.Sources, w.trace())
	}
	trace.Finding = trace.sum()
	return trace, nil
}

// kind is what a device is looked for by.
func (q TraceQuery) kind() (by, text string, err error) {
	text = strings.TrimSpace(q.Query)
	if text == "" {
		return "", "", invalid("trace device: nothing says which: name it by an id, a MAC, an address or a host name")
	}
	if err := validText("device", text, maxHelloText); err != nil {
		return "", "", err
	}
	mac, isMAC := dire.CanonicalMAC(text)
	addr, bad := netip.ParseAddr(text)
	switch q.By {
	case "":
		switch {
		case strings.HasPrefix(text, "sr:"):
			return ByID, text, nil
		case isMAC && strings.ContainsAny(text, ":-."): // An id may be twelve digits, too.
			return ByMAC, mac, nil
		case bad == nil:
			return ByIP, addr.Unmap().WithZone("").String(), nil
		}
		return ByName, text, nil
	case ByMAC:
		if !isMAC {
			return "", "", invalid("trace device: %q is no MAC", text)
		}
		return ByMAC, mac, nil
	case ByIP:
		if bad != nil {
			return "", "", invalid("trace device: %q is no IP address", text)
		}
		return ByIP, addr.Unmap().WithZone("").String(), nil
	case ByID, ByNativeID, ByHostname, ByName:
		return q.By, text, nil
	}
	return "", "", invalid("trace device: a device is looked for by one of %s", strings.Join([]string{ByID, ByNativeID, ByMAC, ByIP, ByHostname, ByName}, ", "))
}

// telling is how much a reason explains of a device that is missing: what keeps
// one back that a source names, before sources that could not be asked, before
// those that do not have it.
var telling = map[TraceReason]int{
	ReasonRefused: 90, ReasonWaiting: 88, ReasonSuperseded: 86, ReasonDamaged: 85, ReasonOutboxFull: 84,
	ReasonInvalid: 80, ReasonUnnamed: 79, ReasonBlacklisted: 78, ReasonFiltered: 76, ReasonNotDue: 70,
	ReasonTenantSuspended: 65, ReasonCertificateExpired: 60, ReasonServiceRevoked: 58, ReasonServiceOffline: 56, ReasonNoService: 54,
	ReasonSourceDown: 52, ReasonSourceDisabled: 50, ReasonNotAsked: 40, ReasonAbsent: 10,
}

// sum is the finding over all sources.
func (t *DeviceTrace) sum() Finding {
	best := map[Verdict]*SourceTrace{}
	for i := range t.Sources {
		one := &t.Sources[i]
		if held := best[one.Verdict]; held == nil || telling[one.Reason] > telling[held.Reason] ||
			one.Reason == ReasonHeldRetraction && held.Reason != ReasonHeldRetraction {
			best[one.Verdict] = one
		}
	}
	living := false
	for _, device := range t.Devices {
		living = living || !device.Retracted
	}
	for _, verdict := range []Verdict{VerdictPresent, VerdictRetracted, VerdictMissing, VerdictUnknown} {
		one := best[verdict]
		if one == nil || verdict == VerdictMissing && one.Reason == ReasonAbsent && best[VerdictUnknown] != nil {
			continue
		}
		found := one.Finding
		found.Summary = fmt.Sprintf("source %s: %s", one.Source.Name, found.Summary)
		if verdict == VerdictMissing && one.Reason == ReasonAbsent && len(t.Sources) > 1 {
			found.Summary = fmt.Sprintf("none of the %d sources that were asked names it", len(t.Sources))
		}
		return found
	}
	if living {
		return Finding{Verdict: VerdictPresent, Reason: ReasonStored, Summary: "it is stored, and no source of the tenant's list says it"}
	}
	return Finding{
		Verdict: VerdictMissing, Reason: ReasonAbsent, Summary: "the tenant has no source that could name it",
		Next: "add one with `edgesync source add --tenant " + t.Tenant.Slug + "`",
	}
}
