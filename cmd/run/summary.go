package run

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/syncrun"
)

// summary collects how the runs of --once ended.
type summary struct {
	mu      sync.Mutex
	started map[string]time.Time
	ended   []document
}

// document is one run as scripts read it.
type document struct {
	Source       string  `json:"source"`
	Tenant       string  `json:"tenant"`
	SourceID     string  `json:"source_id"`
	RunID        string  `json:"run_id"`
	Result       string  `json:"result"`
	Devices      int64   `json:"devices"`
	Refused      int64   `json:"refused"`
	Acknowledged int64   `json:"acknowledged"`
	Seconds      float64 `json:"seconds"`
	Detail       string  `json:"detail"`
}

func (s *summary) observe(e syncrun.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case syncrun.RunStarted:
		if s.started == nil {
			s.started = map[string]time.Time{}
		}
		s.started[e.RunID] = e.Time
	case syncrun.RunEnded:
		d := document{
			Source: e.Source, Tenant: e.Tenant, SourceID: e.SourceID, RunID: e.RunID, Result: e.Result,
			Devices: e.Devices, Refused: e.Refused, Acknowledged: e.Acknowledged, Detail: e.Detail,
		}
		if started, ok := s.started[e.RunID]; ok {
			d.Seconds = e.Time.Sub(started).Round(time.Millisecond).Seconds()
			delete(s.started, e.RunID)
		}
		s.ended = append(s.ended, d)
	}
}

func (s *summary) print(opts *Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.ended, func(a, b document) int { return strings.Compare(a.Source, b.Source) })
	return cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "SOURCE", Value: func(d document) string { return d.Source }},
		{Title: "RESULT", Value: func(d document) string { return d.Result },
			Style: func(d document) string { return cmdutil.StateStyle(d.Result) }},
		{Title: "DEVICES", Value: func(d document) string { return strconv.FormatInt(d.Devices, 10) }},
		{Title: "ACKNOWLEDGED", Value: func(d document) string { return strconv.FormatInt(d.Acknowledged, 10) }},
		{Title: "SECONDS", Value: func(d document) string { return strconv.FormatFloat(d.Seconds, 'f', 1, 64) }},
		{Title: "DETAIL", Value: func(d document) string { return d.Detail }},
	}, s.ended)
}
