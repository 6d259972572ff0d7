package syncrun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"edgesync/proto/payload"
)

const (
	// maxPerSource is how many unanswered reports are kept of one source: the
	// newest matter, and a gateway may be away for days.
	maxPerSource = 8
	// maxHealth is the longest status message sent: below where it is cut.
	maxHealth = payload.MaxStatusMessage - 1
	// maxReport is the longest report; its error text is shortened to that.
	maxReport = 2 << 10
)

// report is a run's end with its JSON.
type report struct {
	payload.RunReport
	json []byte
}

// reports are the ends of runs that the gateway has not been told of for sure.
type reports struct {
	mu       sync.Mutex
	bySource map[string][]report
	// log outlives the process; nil where nothing does.
	log *reportLog
}

func newReports() *reports { return &reports{bySource: map[string][]report{}} }

// open takes over what an earlier process left untold, and returns how many
// reports that are.
func (r *reports) open(dir string) (int, error) {
	log, left, err := openReportLog(dir)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = log
	for _, told := range left {
		if encoded, err := encodeReport(told); err == nil {
			r.put(encoded)
		}
	}
	return len(left), err
}

func (r *reports) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.close()
}

// add takes a report. Runs of a source without an id cannot be told of.
func (r *reports) add(told payload.RunReport) error {
	if told.SourceID == "" {
		return nil
	}
	encoded, err := encodeReport(told)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(encoded)
	return r.log.write(logEntry{Add: &encoded.RunReport}, r.waiting)
}

// put takes the place of a report about the same run: a run that was told of and
// then delivered once more ended as it ended last.
func (r *reports) put(encoded report) {
	list := slices.DeleteFunc(r.bySource[encoded.SourceID], func(have report) bool { return have.RunID == encoded.RunID })
	list = append(list, encoded)
	if len(list) > maxPerSource {
		list = slices.Clone(list[len(list)-maxPerSource:])
	}
	r.bySource[encoded.SourceID] = list
}

func (r *reports) waiting() []payload.RunReport {
	var all []payload.RunReport
	for _, list := range r.bySource {
		for _, one := range list {
			all = append(all, one.RunReport)
		}
	}
	return all
}

// pending returns every report not answered yet, oldest first, those of one source
// always in the order in which its runs ended.
func (r *reports) pending() []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []report
	for _, list := range r.bySource {
		all = append(all, list...)
	}
	slices.SortStableFunc(all, func(a, b report) int {
		if c := a.FinishedAt.Compare(b.FinishedAt); c != 0 {
			return c
		}
		return strings.Compare(a.SourceID, b.SourceID)
	})
	return all
}

// answered forgets reports that a heartbeat has carried.
func (r *reports) answered(told []report) error {
	if len(told) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var done []string
	for _, t := range told {
		done = append(done, t.RunID)
		list := slices.DeleteFunc(r.bySource[t.SourceID], func(have report) bool { return have.RunID == t.RunID })
		if len(list) == 0 {
			delete(r.bySource, t.SourceID)
		} else {
			r.bySource[t.SourceID] = list
		}
	}
	return r.log.write(logEntry{Done: done}, r.waiting)
}

// encodeReport shortens the error text until the report is no longer than it may
// be: escapes make it up to six times as long.
func encodeReport(told payload.RunReport) (report, error) {
	told.Error = oneLine(told.Error)
	for limit := maxReport; ; limit /= 2 {
		told.Error = cut(told.Error, limit)
		encoded, err := json.Marshal(told)
		if err != nil {
			return report{}, fmt.Errorf("encode report of run %s: %w", told.RunID, err)
		}
		if len(encoded) <= maxReport {
			return report{RunReport: told, json: encoded}, nil
		}
		if limit == 0 {
			return report{}, fmt.Errorf("report run %s: the ids of its source are too long", told.RunID)
		}
	}
}

func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cut shortens s to at most limit bytes without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// healthMessage is one status message and the reports in it.
type healthMessage struct {
	// open is the JSON object without its closing brace.
	open    []byte
	reports []report
	size    int
}

func (m *healthMessage) take(r report) bool {
	size := m.size + len(r.json) + 1
	if size > maxHealth {
		return false
	}
	m.reports, m.size = append(m.reports, r), size
	return true
}

func (m *healthMessage) json() []byte {
	out := bytes.NewBuffer(make([]byte, 0, m.size))
	out.Write(m.open)
	if len(m.reports) > 0 {
		if len(m.open) > 1 {
			out.WriteByte(',')
		}
		out.WriteString(`"sources":[`)
		for i, r := range m.reports {
			if i > 0 {
				out.WriteByte(',')
			}
			out.Write(r.json)
		}
		out.WriteByte(']')
	}
	out.WriteByte('}')
	return out.Bytes()
}

// packHealth spreads reports over status messages, each a whole Health that is
// not cut. The first carries what health says besides.
func packHealth(health payload.Health, pending []report) ([]*healthMessage, error) {
	const around = len(`,"sources":[]}`)
	encoded, err := json.Marshal(health)
	if err != nil {
		return nil, fmt.Errorf("encode health: %w", err)
	}
	open := encoded[:len(encoded)-1]
	last := &healthMessage{open: open, size: len(open) + around}
	messages := []*healthMessage{last}
	for _, r := range pending {
		if last.take(r) {
			continue
		}
		last = &healthMessage{open: []byte("{"), size: 1 + around}
		last.take(r)
		messages = append(messages, last)
	}
	return messages, nil
}
