package syncrun

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/schedule"
)

// definition is one source as the configuration has it.
type definition struct {
	// id names the source for as long as it lives: its UUID, or its key where
	// the gateway gives none.
	id, key   string
	serviceID string
	// platform says that the service acts for tenants, so that streams name one.
	platform bool
	source   payload.Source
	// malformed is why nothing of the source could be read but whose it is.
	malformed error
}

// fairTenant is whose turn a run of the source takes.
func (d definition) fairTenant() string {
	return cmp.Or(d.source.TenantID, d.source.TenantSlug)
}

// definitions are the sources of a configuration by id. One id under two keys is
// an error: nobody could say which of the two it means.
func definitions(c payload.Config) (map[string]definition, error) {
	all := make(map[string]definition, len(c.Sources))
	for key, s := range c.Sources {
		d := definition{
			id: cmp.Or(s.IntegrationSourceID, key), key: key, source: s,
			serviceID: cmp.Or(s.SyncServiceID, c.SyncServiceID), platform: c.Scope == payload.ScopePlatform,
		}
		if err := c.Malformed[key]; err != nil {
			d.malformed = fmt.Errorf("read configuration of source %s: %w", key, err)
		}
		if other, ok := all[d.id]; ok {
			return nil, fmt.Errorf("read configuration: sources %q and %q have the same id", min(key, other.key), max(key, other.key))
		}
		all[d.id] = d
	}
	return all, nil
}

// changes is what a new configuration does to the sources that run, each list in
// order of ids.
type changes struct {
	start, stop []string
	// restart changed in what is read or how, retime only in how often or in
	// their names.
	restart, retime []string
}

// compare says what changed from old to new. A source of equal content is in
// none of the lists.
func compare(old, new map[string]definition) changes {
	var c changes
	for id, n := range new {
		o, ok := old[id]
		switch {
		case !ok:
			c.start = append(c.start, id)
		case reflect.DeepEqual(o, n):
		case reflect.DeepEqual(o.untimed(), n.untimed()):
			c.retime = append(c.retime, id)
		default:
			c.restart = append(c.restart, id)
		}
	}
	for id := range old {
		if _, ok := new[id]; !ok {
			c.stop = append(c.stop, id)
		}
	}
	for _, list := range [][]string{c.start, c.stop, c.restart, c.retime} {
		slices.Sort(list)
	}
	return c
}

// untimed is the definition without what a running read does not depend on.
func (d definition) untimed() definition {
	d.key, d.source.PollInterval, d.source.DiscoveryInterval, d.source.SweepInterval = "", "", "", ""
	return d
}

// discovery is how often the source is read whole where it is polled for changes
// more often; zero means that every run reads it whole.
func (d definition) discovery() time.Duration {
	if d.source.PollInterval == "" || d.source.DiscoveryInterval == "" {
		return 0
	}
	poll, err := time.ParseDuration(d.source.PollInterval)
	whole, errWhole := time.ParseDuration(d.source.DiscoveryInterval)
	if err != nil || errWhole != nil || poll >= whole {
		return 0
	}
	return whole
}

// interval is how often the source is read. A bad setting is an error for its
// runs to report; they come round at the default pace meanwhile.
func (d definition) interval() (time.Duration, error) {
	if d.malformed != nil {
		return schedule.DefaultDiscovery, d.malformed
	}
	every, err := schedule.Interval(d.source.PollInterval, d.source.DiscoveryInterval)
	if err != nil {
		return schedule.DefaultDiscovery, err
	}
	return every, nil
}
