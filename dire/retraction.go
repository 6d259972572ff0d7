package dire

import (
	"errors"
	"time"
)

// Retraction is the word that a thing of a source is gone.
type Retraction struct {
	Key string
	// At is the start of the run that says so. What is asserted later lives.
	At time.Time
}

// Retractions are what is to be retracted of one source.
type Retractions struct {
	Source string
	// Received is when it was decided.
	Received time.Time
	// Things name each key once. What is not stored is passed over.
	Things []Retraction
	// Rule is RuleAbsent or RuleDeleted, and Runs are its evidence; By and Reason
	// name the operator who let it happen, if one had to.
	Rule       DecisionRule
	Runs       []string
	By, Reason string
}

// ProbeForRetractions makes retractions ready to be planned, like a batch.
func (r Rules) ProbeForRetractions(rs Retractions) (Probe, error) {
	if rs.Source == "" || rs.Received.IsZero() {
		return Probe{}, errors.New("probe retractions: they have no source or no time")
	}
	p := Probe{
		Source: rs.Source, received: rs.Received.UTC().Truncate(time.Microsecond),
		Keys: make([]string, len(rs.Things)), items: make([]item, len(rs.Things)),
		index:   make(map[string]int, len(rs.Things)),
		because: Decision{Rule: rs.Rule, Runs: rs.Runs, By: rs.By, Reason: rs.Reason},
	}
	for i, thing := range rs.Things {
		at := clamp(thing.At, p.received)
		p.Keys[i], p.index[thing.Key] = thing.Key, i
		p.items[i] = item{deleted: true, bare: true, at: at}
	}
	return p, nil
}
