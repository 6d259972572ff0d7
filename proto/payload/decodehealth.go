package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// DecodeHealth reads the message of a "sync" status at the time now. An empty
// message is an empty Health. A client may send anything here, and a message
// that was cut is no JSON any more: a receiver takes an error as a heartbeat
// that says no more.
func DecodeHealth(data []byte, now time.Time) (Health, error) {
	var health Health
	s := scanner{data: data}
	switch s.space() {
	case 0:
		if s.pos == len(data) {
			return health, nil
		}
		return health, errors.New("read health: it is not a JSON object")
	case '{':
	default:
		return health, errors.New("read health: it is not a JSON object")
	}
	if err := s.value(MaxUpdate); err != nil {
		return health, fmt.Errorf("read health: %w", err)
	}
	if err := json.Unmarshal(data, &health); err != nil {
		return Health{}, fmt.Errorf("read health: %w", plain(err))
	}
	if err := health.check(now); err != nil {
		return Health{}, fmt.Errorf("read health: %w", err)
	}
	return health, nil
}

func (h Health) check(now time.Time) error {
	if h.OutboxBytes < 0 || h.OutboxRuns < 0 {
		return errors.New("the outbox holds less than nothing")
	}
	for i, report := range h.Sources {
		for _, t := range [...]time.Time{report.StartedAt, report.FinishedAt} {
			if !t.IsZero() && !PlausibleTime(t, now) {
				return fmt.Errorf("report %d: a time in it is before the year 2000 or in the future", i)
			}
		}
		if report.Devices < 0 {
			return fmt.Errorf("report %d: it counts less than no devices", i)
		}
		if len(report.RunID) > MaxIdentifier {
			return fmt.Errorf("report %d: run_id is longer than %d bytes", i, MaxIdentifier)
		}
	}
	return nil
}
