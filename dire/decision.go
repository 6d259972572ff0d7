package dire

import (
	"encoding/json"
	"fmt"
	"time"
)

// Decision is something the engine did or refused, with its evidence.
type Decision struct {
	Kind DecisionKind `json:"kind"`
	// Rule is why.
	Rule DecisionRule `json:"rule"`
	// At is when the batch or the operator's word came that led to it.
	At        time.Time `json:"at"`
	Partition string    `json:"partition"`
	// Source and Runs tell what led to it, By and Reason the operator who did.
	Source string   `json:"source,omitempty"`
	Runs   []string `json:"runs,omitempty"`
	By     string   `json:"by,omitempty"`
	Reason string   `json:"reason,omitempty"`
	// Device is the id the members of a merge are under now, or the one that the
	// members of a split were under; of the other kinds it is empty or the device
	// of the assertion. Devices are the other ids concerned.
	Device  string   `json:"device,omitempty"`
	Devices []string `json:"devices,omitempty"`
	// Identifiers are the evidence: what the members share, shared, or share in
	// vain. Assertions are those concerned, the ones that moved first. Each list
	// holds at most MaxEvidence.
	Identifiers []Identifier `json:"identifiers,omitempty"`
	Assertions  []Ref        `json:"assertions,omitempty"`
	// Fresh is true for a merge of new assertions with at most one device that was
	// there.
	Fresh bool `json:"fresh,omitempty"`
	// Subjects are the home ids of the assertions concerned: what a store finds
	// the decision by. Each is there once and is that of a stored assertion.
	Subjects []string `json:"-"`
}

// MaxEvidence bounds the lists of a Decision.
const MaxEvidence = 16

// Ref names an assertion.
type Ref struct {
	Source string `json:"source"`
	Key    string `json:"key"`
}

// DecisionKind is what was decided.
type DecisionKind string

// The kinds of decision.
const (
	// DecisionMerge: assertions became one device that were not.
	DecisionMerge DecisionKind = "merge"
	// DecisionSplit: assertions are no longer one device.
	DecisionSplit DecisionKind = "split"
	// DecisionAmbiguous: two native ids of one source hold one hardware id, which
	// links nobody while they do.
	DecisionAmbiguous DecisionKind = "ambiguous"
	// DecisionChain: hardware ids would join, through assertions in between, two
	// native ids of one source, or two that an operator said are not one.
	DecisionChain DecisionKind = "chain"
	// DecisionRetraction: a source no longer asserts a thing.
	DecisionRetraction DecisionKind = "retraction"
	// DecisionReturn: a source asserts again what was retracted.
	DecisionReturn DecisionKind = "return"
)

// DecisionRule is the rule that led to a decision.
type DecisionRule string

// The rules.
const (
	// RuleMAC, RuleSerial and RuleAddress: an identifier is shared.
	RuleMAC     DecisionRule = "mac"
	RuleSerial  DecisionRule = "serial"
	RuleAddress DecisionRule = "address"
	// RuleOperator: an operator said so.
	RuleOperator DecisionRule = "operator"
	// RuleAmbiguous and RuleChain: what was shared links nobody any more.
	RuleAmbiguous DecisionRule = "ambiguous"
	RuleChain     DecisionRule = "chain"
	// RuleChanged: nothing is shared any more.
	RuleChanged DecisionRule = "changed"
	// RuleDeleted: the source said that the thing is gone.
	RuleDeleted DecisionRule = "deleted"
	// RuleAbsent: two snapshots in a row were without it.
	RuleAbsent DecisionRule = "absent"
	// RuleSeen: the source named it again.
	RuleSeen DecisionRule = "seen"
)

// EncodeDecision returns a decision, less its Subjects, as a JSON object that
// DecodeDecision reads, in this and every later version.
func EncodeDecision(d *Decision) ([]byte, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode decision: %w", err)
	}
	return data, nil
}

// DecodeDecision reads what EncodeDecision wrote.
func DecodeDecision(data []byte) (Decision, error) {
	var d Decision
	if err := json.Unmarshal(data, &d); err != nil {
		return Decision{}, fmt.Errorf("decode decision: %w", err)
	}
	return d, nil
}
