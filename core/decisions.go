package core

import (
	"strconv"
	"strings"

	"edgesync/dire"
)

// maxFindings bounds the events of one kind of decision that a batch leaves; the
// decisions beyond it are kept, too, and told by their number.
const maxFindings = 1_000

// dataEngine is the actor of what follows from the data alone.
var dataEngine = Actor{Name: "dire", Origin: "core"}

// tell adds an event for each decision. What merely joined a device that was
// there already is told by its number: a second inventory of the same things
// would drown everything else.
func (w *chunkWriter) tell(events *eventLog, decisions []dire.Decision) {
	for i := range decisions {
		w.decisions[decisions[i].Kind]++
	}
	tellDecisions(events, dataEngine, decisions)
}

func tellDecisions(events *eventLog, actor Actor, decisions []dire.Decision) {
	told, more := map[dire.DecisionKind]int{}, map[dire.DecisionKind]int{}
	joined := 0
	for i := range decisions {
		d := &decisions[i]
		switch {
		case d.Kind == dire.DecisionMerge && d.Fresh:
			joined++
		case told[d.Kind] == maxFindings:
			more[d.Kind]++
		default:
			told[d.Kind]++
			events.add(actor, decisionEvent(d))
		}
	}
	if joined > 0 {
		events.add(actor, Event{
			Type: "identity.joined", Message: plural(joined, "new assertion") + " joined devices that were there",
		})
	}
	for kind, n := range more {
		events.add(actor, Event{
			Type: "identity.decisions", Severity: SeverityWarning,
			Message: strconv.Itoa(n) + " more decisions at once: " + string(kind),
		})
	}
}

// verdicts are how events put the kinds of decision.
var verdicts = map[dire.DecisionKind]struct {
	severity Severity
	message  func(d *dire.Decision, what string) string
}{
	dire.DecisionMerge: {SeverityInfo, func(d *dire.Decision, what string) string {
		return strings.Join(d.Devices, ", ") + " became one with " + d.Device + by(d, what)
	}},
	dire.DecisionSplit: {SeverityInfo, func(d *dire.Decision, what string) string {
		return strings.Join(d.Devices, ", ") + " came apart from " + d.Device + by(d, what)
	}},
	dire.DecisionAmbiguous: {SeverityWarning, func(_ *dire.Decision, what string) string {
		return what + " links no devices: several of one source hold it"
	}},
	dire.DecisionChain: {SeverityWarning, func(_ *dire.Decision, what string) string {
		return what + " link no devices: they would join several of one source, or what an operator keeps apart"
	}},
	dire.DecisionRetraction: {SeverityInfo, func(d *dire.Decision, _ string) string {
		return "an assertion of device " + d.Device + " is retracted (" + string(d.Rule) + ")"
	}},
	dire.DecisionReturn: {SeverityInfo, func(d *dire.Decision, _ string) string {
		return "an assertion of device " + d.Device + " returned"
	}},
}

func by(d *dire.Decision, what string) string {
	if d.By != "" || what == "" {
		return " (" + string(d.Rule) + ")"
	}
	return " (" + string(d.Rule) + ": " + what + ")"
}

func decisionEvent(d *dire.Decision) Event {
	identifiers := make([]string, len(d.Identifiers))
	for i, identifier := range d.Identifiers {
		identifiers[i] = string(identifier.Kind) + " " + identifier.Value
	}
	holders := make([]string, len(d.Assertions))
	for i, ref := range d.Assertions {
		holders[i] = ref.Source + " " + ref.Key
	}
	what := clean(strings.Join(identifiers, ", "), maxName)
	verdict := verdicts[d.Kind]
	details := map[string]string{
		"partition": d.Partition, "rule": string(d.Rule), "device": d.Device,
		"devices":     strings.Join(d.Devices, ", "),
		"identifiers": clean(strings.Join(identifiers, ", "), maxRunError),
		"held_by":     clean(strings.Join(holders, ", "), maxRunError),
		"run_id":      strings.Join(d.Runs, ", "),
		"reason":      clean(d.Reason, maxRunError),
	}
	for key, value := range details {
		if value == "" {
			delete(details, key)
		}
	}
	return Event{
		Type: "identity." + string(d.Kind), Severity: verdict.severity,
		Message: clean(verdict.message(d, what), maxRunError), Details: details,
	}
}
