package core

import (
	"fmt"

	"edgesync/dire"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
)

// stops are the stages where a device stops for a reason.
var stops = map[TraceReason]TraceStage{
	ReasonTenantSuspended: StageSource, ReasonSourceDisabled: StageSource, ReasonNoService: StageSource, ReasonServiceRevoked: StageSource,
	ReasonCertificateExpired: StageSource, ReasonServiceOffline: StageSource, ReasonSourceDown: StageSource,
	ReasonNotAsked: StagePage, ReasonAbsent: StagePage, ReasonFiltered: StagePage,
	ReasonBlacklisted: StageRun, ReasonUnnamed: StageRun, ReasonInvalid: StageRun, ReasonNotDue: StageRun, ReasonOutboxFull: StageRun,
	ReasonSuperseded: StageChunk, ReasonDamaged: StageChunk,
	ReasonWaiting: StageStream, ReasonRefused: StageStream,
	ReasonRetracted: StageDecision, ReasonHeldRetraction: StageDecision,
}

// trace makes the answer of what is known.
func (w *way) trace() SourceTrace {
	t := SourceTrace{Source: w.source, Finding: w.judge()}
	t.Source.Credentials = nil
	if w.service != nil {
		t.Service = *w.service
	}
	t.RunID = w.runOf()
	if run := w.known(t.RunID); run != nil && run.TraceID != "" {
		t.TraceID = run.TraceID
	} else {
		t.TraceID = tracing.Text(t.RunID)
	}
	steps := []TraceStep{w.sourceStep(), w.pageStep(), w.runStep(t.RunID), w.chunkStep(), w.streamStep(), w.commitStep(), w.decisionStep()}
	stop, stopped := stops[t.Reason], false
	for i := range steps {
		s := &steps[i]
		switch {
		case stopped:
			*s = TraceStep{Stage: s.Stage, State: StepNotReached}
		case s.Stage == stop:
			stopped = true
			s.State, s.Text = StepStopped, t.Summary
			if t.Verdict == VerdictUnknown {
				s.State = StepUnknown
			}
			if t.Reason == ReasonWaiting || t.Reason == ReasonNotDue || t.Reason == ReasonHeldRetraction {
				s.State = StepWaiting
			}
		}
	}
	t.Steps = steps
	return t
}

// runOf is the run that the finding is about.
func (w *way) runOf() string {
	if len(w.assertions) > 0 {
		return w.assertions[0].Run.ID
	}
	if run := w.holding(); run != nil {
		return run.RunID
	}
	if len(w.runs) > 0 {
		return w.runs[0].ID
	}
	return ""
}

// holding is the latest run at the runtime that has the device, or nil.
func (w *way) holding() *payload.TracedRun {
	if w.live == nil {
		return nil
	}
	for i := len(w.live.Runs) - 1; i >= 0; i-- {
		if w.live.Runs[i].Chunk > 0 {
			return &w.live.Runs[i]
		}
	}
	return nil
}

func (w *way) asserted() *dire.Assertion {
	if len(w.assertions) == 0 {
		return nil
	}
	return &w.assertions[0]
}

func (w *way) sourceStep() TraceStep {
	s := TraceStep{Stage: StageSource, State: StepPassed}
	s.Text = w.source.Type
	if w.source.Endpoint != "" {
		s.Text += " at " + w.source.Endpoint
	}
	if w.service != nil {
		s.Text += ", read by " + w.service.Name
	}
	return s
}

func (w *way) pageStep() TraceStep {
	s := TraceStep{Stage: StagePage, State: StepUnknown}
	seen := w.sighted()
	switch {
	case seen != nil:
		s.State, s.List, s.Page, s.Place, s.At = StepPassed, seen.List, seen.Page, seen.Place, w.live.At
		s.Text = fmt.Sprintf("place %d of page %d of %s", seen.Place, seen.Page, seen.List)
	case w.live != nil && w.live.Read.Whole:
		s.Text = "the source does not name it now"
	case w.live != nil && w.live.Read.Message != "":
		s.Text = "the source was asked and did not say: " + w.live.Read.Message
	case w.unheard != "":
		s.Text = "the source was not asked: " + w.unheard
	default:
		s.Text = "the source was not asked"
	}
	return s
}

func (w *way) runStep(id string) TraceStep {
	s := TraceStep{Stage: StageRun, State: StepUnknown}
	if id == "" {
		s.Text = "there is no run yet"
		return s
	}
	s.Text = "run " + id
	run := w.known(id)
	if run == nil {
		run = w.run
	}
	switch holding := w.holding(); {
	case w.asserted() != nil:
		s.State, s.At = StepPassed, w.assertions[0].Run.Started
	case holding != nil:
		s.State, s.At = StepPassed, holding.Started
	case run != nil:
		s.At = run.Started
	}
	if run != nil && run.Result != "" {
		s.Text += ", " + run.Mode + ", " + run.Result
	}
	return s
}

func (w *way) chunkStep() TraceStep {
	s := TraceStep{Stage: StageChunk, State: StepUnknown}
	a, holding := w.asserted(), w.holding()
	switch {
	case a != nil && a.Run.Chunk > 0:
		s.State, s.Chunk = StepPassed, a.Run.Chunk
		if w.run != nil {
			s.Chunks = max(w.run.TotalChunks, a.Run.Chunk)
		}
	case a != nil:
		s.State, s.Text = StepPassed, "which chunk is not known"
		return s
	case holding != nil:
		s.State, s.Chunk, s.Chunks, s.At = StepPassed, holding.Chunk, holding.Chunks, holding.Committed
	default:
		return s
	}
	s.Text = fmt.Sprintf("chunk %d", s.Chunk)
	if s.Chunks > 0 {
		s.Text += fmt.Sprintf(" of %d", s.Chunks)
	}
	return s
}

func (w *way) streamStep() TraceStep {
	s := TraceStep{Stage: StageStream, State: StepUnknown}
	if w.asserted() == nil {
		return s
	}
	s.State, s.Text = StepPassed, "sent to the gateway"
	if w.run != nil && w.service != nil && w.run.ServiceID == w.service.ID {
		s.Text = "sent by " + w.service.Name
	}
	if w.run != nil && w.run.TotalChunks > 0 {
		s.Text += fmt.Sprintf(", %d of %d chunks came", w.run.Chunks, w.run.TotalChunks)
	}
	return s
}

func (w *way) commitStep() TraceStep {
	s := TraceStep{Stage: StageCommit, State: StepUnknown}
	if a := w.asserted(); a != nil {
		s.State, s.Text = StepPassed, "stored as "+clean(a.Key, maxHelloText)
		if w.run != nil {
			s.At = w.run.StoredAt
		}
	}
	return s
}

func (w *way) decisionStep() TraceStep {
	s := TraceStep{Stage: StageDecision, State: StepUnknown}
	a := w.asserted()
	if a == nil {
		return s
	}
	s.State, s.Text = StepPassed, "device "+w.device.ID
	if others := w.others(a); others > 0 {
		s.Text += ", one with " + plural(others, "other assertion")
	}
	if n := len(w.decisions); n > 0 {
		s.At = w.decisions[n-1].At
		s.Text += fmt.Sprintf("; last decision: %s (%s)", w.decisions[n-1].Kind, w.decisions[n-1].Rule)
	}
	return s
}
