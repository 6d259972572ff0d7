package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"edgesync/dire"
	"edgesync/proto/payload"
	"edgesync/proto/shell"
)

// judge says whether the source's device is on the platform, and if not what
// stands in its way: the stage nearest to the platform that is known to have
// stopped it.
func (w *way) judge() Finding {
	if len(w.assertions) > 0 {
		if a := &w.assertions[0]; !a.Retracted() {
			return w.judgeLiving(a)
		}
		if found, ok := w.judgeLive(); ok && w.sighted() != nil {
			return found
		}
		return w.judgeRetracted(&w.assertions[0])
	}
	if found, ok := w.judgeService(); ok {
		return found
	}
	if found, ok := w.judgeLive(); ok {
		return found
	}
	return w.judgeStored()
}

func missing(reason TraceReason, next, format string, args ...any) Finding {
	return Finding{Verdict: VerdictMissing, Reason: reason, Summary: fmt.Sprintf(format, args...), Next: next}
}

// judgeLiving is about a device that is there.
func (w *way) judgeLiving(a *dire.Assertion) Finding {
	f := Finding{Verdict: VerdictPresent, Reason: ReasonStored}
	f.Summary = fmt.Sprintf("it is device %s, last named %s", w.device.ID, day(a.LastSeen))
	for _, h := range w.holds {
		if w.heldBy(h, a) {
			f.Reason = ReasonHeldRetraction
			f.Summary = fmt.Sprintf("the source does not name it any more; its retraction is held with %s since %s", plural(max(h.Retractions-1, 0), "other"), day(h.At))
			f.Next = fmt.Sprintf("look at `edgesync source retractions list --tenant %s`, then release or reject them", w.tenant.Slug)
			return f
		}
	}
	if w.live != nil && w.live.Read.Whole && len(w.live.Read.Sightings) == 0 {
		f.Reason = ReasonLeaving
		f.Summary = fmt.Sprintf("the source does not name it any more; it stays device %s until two whole runs were without it", w.device.ID)
		return f
	}
	if seen := w.sighted(); seen != nil && seen.Fate != payload.FateReported {
		f.Reason = ReasonLeaving
		f.Summary = fmt.Sprintf("the source names it (%s), and it is left out by now: %s; it stays device %s until two whole runs were without it", sightingText(seen), seen.Why, w.device.ID)
		return f
	}
	if others := w.others(a); others > 0 {
		f.Reason = ReasonMerged
		f.Summary = fmt.Sprintf("it is part of device %s (%s), with %s", w.device.ID, w.called(), plural(others, "other assertion"))
		f.Next = fmt.Sprintf("see `edgesync device show %s --tenant %s --why`", w.device.ID, w.tenant.Slug)
	}
	return f
}

// heldBy tells whether a hold is what keeps an assertion.
func (w *way) heldBy(h Hold, a *dire.Assertion) bool {
	if h.Kind == HoldDeletions {
		return w.pending[a.Key]
	}
	return len(w.snapshots) == 2 && a.Run.Started.Before(w.snapshots[1].Started)
}

// others is how many assertions beside a make up its device.
func (w *way) others(a *dire.Assertion) int {
	n := 0
	for i := range w.device.assertions {
		if other := &w.device.assertions[i]; other.HomeID != a.HomeID && !other.Retracted() {
			n++
		}
	}
	return n
}

// called is what a device is mostly called.
func (w *way) called() string {
	for _, name := range []string{w.device.Hostname, w.device.IP, w.device.MAC} {
		if name != "" {
			return clean(name, maxName)
		}
	}
	return "without a name"
}

// judgeRetracted is about a device that was taken back.
func (w *way) judgeRetracted(a *dire.Assertion) Finding {
	why := "the source said that it is gone"
	for _, d := range slices.Backward(w.decisions) {
		if d.Kind != dire.DecisionRetraction {
			continue
		}
		if d.Rule == dire.RuleAbsent {
			why = "two whole runs of the source were without it"
		}
		if d.By != "" {
			why += ", and " + clean(d.By, maxName) + " released it"
		}
		break
	}
	return Finding{
		Verdict: VerdictRetracted, Reason: ReasonRetracted,
		Summary: fmt.Sprintf("it was device %s and was retracted %s: %s", w.device.ID, day(a.RetractedAt), why),
		Next:    "it returns under the same id as soon as the source names it again",
	}
}

// judgeService is about who should read the source.
func (w *way) judgeService() (Finding, bool) {
	tenant := w.tenant.Slug
	switch {
	case w.tenant.State != TenantActive:
		return missing(ReasonTenantSuspended, "resume it with `edgesync tenant resume "+tenant+"`", "tenant %s is suspended: nothing of it is taken", tenant), true
	case !w.source.Enabled:
		return missing(ReasonSourceDisabled, w.offer("enable it with", "enable", ""), "the source is disabled: nobody reads it"), true
	case w.service == nil:
		return missing(ReasonNoService, w.offer("give it one with", "edit", " --service NAME"), "no sync service is assigned to the source"), true
	case w.service.State != ServiceActive:
		return missing(ReasonServiceRevoked, w.onboard(), "sync service %s is %s: nothing of it is taken", w.service.Name, w.service.State), true
	case w.service.Status != StatusOffline || w.live != nil:
		return Finding{}, false
	}
	heard := "was never heard of"
	if !w.service.LastHeartbeatAt.IsZero() {
		heard = "was last heard of " + day(w.service.LastHeartbeatAt)
	}
	if ends := w.service.CertExpiresAt; !ends.IsZero() && ends.Before(w.now) {
		return missing(ReasonCertificateExpired, w.onboard(),
			"the certificate of sync service %s expired %s, so the gateway does not let it in; it %s", w.service.Name, day(ends), heard), true
	}
	return missing(ReasonServiceOffline, "start it on its host (`edgesync run`), or run `edgesync doctor` there",
		"sync service %s is offline and %s", w.service.Name, heard), true
}

func (w *way) onboard() string {
	return fmt.Sprintf("onboard it again with `edgesync onboard --tenant %s --name %s`", w.service.Tenant.Slug, shell.Word(w.service.Name))
}

// sighted is the device on the source's pages, as far as that was looked at.
func (w *way) sighted() *payload.TraceSighting {
	if w.live == nil || len(w.live.Read.Sightings) == 0 {
		return nil
	}
	return &w.live.Read.Sightings[0]
}

// judgeLive goes by what the runtime says: what is nearest to the platform first.
func (w *way) judgeLive() (Finding, bool) {
	if w.live == nil {
		return Finding{}, false
	}
	if found, ok := w.judgeOutbox(); ok {
		return found, true
	}
	seen := w.sighted()
	if seen == nil {
		return w.judgeUnseen(), true
	}
	what := sightingText(seen)
	if w.live.Read.Filtered {
		return missing(ReasonFiltered, "change its queries with `edgesync source edit --query`", "the source has it (%s), and none of the source's queries selects it", what), true
	}
	switch seen.Fate {
	case payload.FateBlacklisted:
		return missing(ReasonBlacklisted, w.offer("change it with", "edit", " --blacklist CIDR"),
			"the source names it (%s), and it is left out: %s", what, seen.Why), true
	case payload.FateUnnamed:
		return missing(ReasonUnnamed, "give it an id in the source", "the source has it (%s) without an id of its own, so it is left out", what), true
	case payload.FateInvalid:
		return missing(ReasonInvalid, "mend it in the source", "the source names it (%s), and it is left out: %s", what, seen.Why), true
	}
	if w.live.OutboxFull != "" {
		return w.outboxFull(w.live.OutboxFull), true
	}
	if found, ok := w.judgeRun(); ok {
		return found, true
	}
	return missing(ReasonNotDue, w.syncNow(), "the source names it (%s), and %s", what, w.nextRun()), true
}

// judgeOutbox finds the device among the runs that are at the runtime: the latest
// that has it tells.
func (w *way) judgeOutbox() (Finding, bool) {
	for i := len(w.live.Runs) - 1; i >= 0; i-- {
		run := &w.live.Runs[i]
		if run.Chunk == 0 {
			continue
		}
		chunk := fmt.Sprintf("chunk %d of %d of run %s", run.Chunk, run.Chunks, run.RunID)
		if run.RefusedAt == nil {
			if run.Retrying != "" {
				return missing(ReasonWaiting, "see to what the gateway says; it is tried again by itself", "%s has it and waits at sync service %s: %s", chunk, w.service.Name, run.Retrying), true
			}
			return missing(ReasonWaiting, "it is delivered by itself", "%s has it and waits at sync service %s for the gateway", chunk, w.service.Name), true
		}
		if later := w.latest(); later != nil && later.Started.After(run.Started) && !failed(later.Result) && later.Result != payload.ResultSuperseded && later.Stage != payload.StageDelivery {
			continue // What was refused once was delivered since.
		}
		return missing(ReasonRefused, "see to what the gateway says, then `edgesync source sync-now`", "the gateway refused %s, which has it, %s: %s", chunk, day(*run.RefusedAt), run.Refused), true
	}
	return Finding{}, false
}

// latest is the source's latest run that has ended.
func (w *way) latest() *Run {
	for i := range w.runs {
		if !w.runs[i].Finished.IsZero() {
			return &w.runs[i]
		}
	}
	return nil
}

func (w *way) outboxFull(why string) Finding {
	return missing(ReasonOutboxFull, "raise `run --outbox-max`, free its disk, or see to it that the gateway takes what waits",
		"the outbox of sync service %s is full, and no source is read until it has room: %s", w.service.Name, why)
}

// judgeRun goes by how the source's latest run ended.
func (w *way) judgeRun() (Finding, bool) {
	run := w.latest()
	if run == nil || run.Result == payload.ResultSuccess {
		return Finding{}, false
	}
	about := fmt.Sprintf("run %s of %s", run.ID, day(run.Started))
	switch run.Stage {
	case payload.StageOutbox:
		return w.outboxFull(run.Error), true
	case payload.StageSuperseded:
		return missing(ReasonSuperseded, "it comes with the newer run", "%s was not delivered: %s", about, run.Error), true
	case payload.StageDamaged:
		return missing(ReasonDamaged, w.syncNow(), "%s was lost at sync service %s: %s", about, w.service.Name, run.Error), true
	case payload.StageDelivery:
		return missing(ReasonRefused, "see to what the gateway says, then `edgesync source sync-now`", "the gateway refused %s, or a part of it: %s", about, run.Error), true
	}
	if failed(run.Result) {
		return missing(ReasonSourceDown, w.test(), "%s failed: %s", about, run.Error), true
	}
	return Finding{}, false
}

// judgeUnseen is about a device that is not on the source's pages.
func (w *way) judgeUnseen() Finding {
	read := &w.live.Read
	switch {
	case !read.Asked:
		return missing(ReasonNotAsked, w.test(), "sync service %s did not read the source", w.service.Name)
	case !read.Whole && read.Reason == "timeout":
		return Finding{Verdict: VerdictUnknown, Reason: ReasonNotAsked,
			Summary: fmt.Sprintf("it was not met on the first %s with %s: %s", plural(read.Pages, "page"), plural(read.Things, "thing"), read.Message),
			Next:    "name it by its id in the source, or try again"}
	case !read.Whole:
		return missing(ReasonSourceDown, w.test(), "the source cannot be read (%s): %s", read.Reason, read.Message)
	}
	if w.live.OutboxFull != "" {
		return w.outboxFull(w.live.OutboxFull)
	}
	return missing(ReasonAbsent, "", "the source does not name it: %s on %s, and all were looked at", plural(read.Things, "thing"), plural(read.Pages, "page"))
}

// judgeStored goes by what the platform has stored alone.
func (w *way) judgeStored() Finding {
	if found, ok := w.judgeRun(); ok {
		return found
	}
	if w.latest() == nil {
		return missing(ReasonNotDue, w.syncNow(), "no run of the source has ended yet")
	}
	why := w.unheard
	if why == "" {
		why = "it was not asked"
	}
	return Finding{Verdict: VerdictUnknown, Reason: ReasonNotAsked,
		Summary: "nothing is stored of it from this source, and what the source says is not known: " + why}
}

func (w *way) syncNow() string {
	return w.offer("read it now with", "sync-now", "")
}

func (w *way) test() string {
	return w.offer("try it with", "test", "")
}

// offer is advice to do something to the source.
func (w *way) offer(advice, verb, flags string) string {
	return advice + " `" + shell.Command("edgesync source "+verb, w.source.Name, "--tenant "+w.tenant.Slug+flags) + "`"
}

// nextRun is what becomes of a device that the source names and that has come no
// further.
func (w *way) nextRun() string {
	s := &w.live.Schedule
	switch {
	case !s.Configured:
		return "its sync service has not got its configuration yet"
	case s.Reading:
		return "it is being read at this moment"
	case s.Due != nil:
		return "its next run is due " + day(*s.Due)
	}
	return "it has not been read since"
}

// sightingText is a device as a source names it.
func sightingText(s *payload.TraceSighting) string {
	var parts []string
	for _, part := range []string{s.Device.NativeID, s.Device.Hostname, s.Device.IP, s.Device.MAC} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return fmt.Sprintf("%s on page %d of %s", strings.Join(parts, ", "), s.Page, s.List)
}

// day is a time as it stands in a sentence.
func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
