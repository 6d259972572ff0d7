package core

import (
	"strconv"
	"strings"

	"edgesync/dire"
)

// maxFindings bounds the events of one batch; the findings beyond it are told
// by their number.
const maxFindings = 1_000

// dataEngine is the actor of what follows from the data alone.
var dataEngine = Actor{Name: "dire", Origin: "core"}

// tell adds an event for each link that the rules newly refuse.
func (w *chunkWriter) tell(events *eventLog, findings []dire.Finding) {
	for i, finding := range findings {
		w.findings[finding.Rule]++
		if i < maxFindings {
			events.add(dataEngine, findingEvent(finding))
		}
	}
	if rest := len(findings) - maxFindings; rest > 0 {
		events.add(dataEngine, Event{
			Type: "identity.findings", Severity: SeverityWarning,
			Message: strconv.Itoa(rest) + " more links were refused at once",
		})
	}
}

func findingEvent(f dire.Finding) Event {
	identifiers := make([]string, len(f.Identifiers))
	for i, identifier := range f.Identifiers {
		identifiers[i] = string(identifier.Kind) + " " + identifier.Value
	}
	holders := make([]string, len(f.Assertions))
	for i, ref := range f.Assertions {
		holders[i] = ref.Source + " " + ref.Key
	}
	what := clean(strings.Join(identifiers, ", "), maxName)
	message := what + " links no devices: several of one source hold it"
	if f.Rule == dire.FindingChain {
		message = what + " link no devices: they would join several of one source"
	}
	return Event{
		Type: "identity." + string(f.Rule), Severity: SeverityWarning, Message: message,
		Details: map[string]string{
			"partition":   f.Partition,
			"identifiers": clean(strings.Join(identifiers, ", "), maxRunError),
			"held_by":     clean(strings.Join(holders, ", "), maxRunError),
		},
	}
}
