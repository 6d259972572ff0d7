package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// summaryPause lies between two updates of a watch: what changes together is
	// told together, and a flood of events stays a few messages a second.
	summaryPause = 200 * time.Millisecond
	// judgeEvery is how often the clock alone may change a status.
	judgeEvery = 5 * time.Second
	// recount is how long a count of devices is good while they keep arriving,
	// and recountShare how many times longer than the counting took.
	recount      = 2 * time.Second
	recountShare = 10
)

// WatchQuery says what Watch tells of.
type WatchQuery struct {
	// Tenant is a slug; empty means every tenant.
	Tenant string
	// Events is how many of the latest come with the first update.
	Events int
}

// Summary is how one tenant stands.
type Summary struct {
	Tenant   Tenant
	Services []Service
	Sources  []SourceView
	// Devices are active; Updates arrived since the platform started.
	Devices, Updates int64
}

// WatchUpdate is what has changed since the one before it.
type WatchUpdate struct {
	Time     time.Time
	Platform *PlatformInfo
	Tenants  []Summary
	Removed  []string
	// Shared are the platform's services that tenants may use, when SharedChanged.
	Shared        []Service
	SharedChanged bool
	Events        []TenantEvent
	EventsMissed  bool
}

func (u WatchUpdate) empty() bool {
	return u.Platform == nil && len(u.Tenants) == 0 && len(u.Removed) == 0 && !u.SharedChanged && len(u.Events) == 0 && !u.EventsMissed
}

// Watch hands over how the platform stands, first all of it and then what
// changes, until yield returns an error or ctx ends. It reads the store only for
// tenants of which something was written.
func (c *Core) Watch(ctx context.Context, query WatchQuery, yield func(WatchUpdate) error) error {
	p, err := c.ready()
	if err != nil {
		return err
	}
	w := &watch{core: c, query: query, platform: p.TenantID, known: map[uuid.UUID]*standing{}}
	if err := w.begin(ctx); err != nil {
		return err
	}
	defer w.end()
	first, err := w.first(ctx)
	if err != nil {
		return err
	}
	if err := yield(first); err != nil {
		return err
	}
	return w.follow(ctx, yield)
}

// watch is one caller's view: what it was last told of each tenant.
type watch struct {
	core     *Core
	query    WatchQuery
	platform uuid.UUID
	pulse    *pulse
	events   *watcher
	known    map[uuid.UUID]*standing
	shared   []Service
}

// standing is a tenant as last read.
type standing struct {
	summary Summary
	counted time.Time
	cost    time.Duration
	// stale means that the devices are to be counted again.
	stale bool
}

func (w *watch) begin(ctx context.Context) error {
	var only []uuid.UUID
	if w.query.Tenant != "" {
		tenant, err := w.core.Tenant(ctx, w.query.Tenant)
		if err != nil {
			return err
		}
		only = []uuid.UUID{tenant.ID, w.platform}
	}
	w.pulse = w.core.pulses.add(only...)
	w.events = w.core.watchers.add(EventQuery{Tenant: w.query.Tenant}, w.core.now())
	return nil
}

func (w *watch) end() {
	w.core.pulses.drop(w.pulse)
	w.core.watchers.drop(w.events)
}

func (w *watch) first(ctx context.Context) (WatchUpdate, error) {
	info, err := w.core.PlatformInfo(ctx)
	if err != nil {
		return WatchUpdate{}, err
	}
	var past []TenantEvent
	if w.query.Events > 0 {
		if past, err = w.core.Events(ctx, EventQuery{Tenant: w.query.Tenant, Limit: w.query.Events}); err != nil {
			return WatchUpdate{}, err
		}
	}
	all := map[uuid.UUID]bool{}
	err = w.core.scopes(ctx, w.query.Tenant, func(s scope) error { all[s.tenant.ID] = true; return nil })
	if err != nil {
		return WatchUpdate{}, err
	}
	update, err := w.read(ctx, all)
	update.Platform, update.SharedChanged = &info, true
	// What was recorded while the past was read is in both.
	shown := map[uuid.UUID]bool{}
	for _, event := range past {
		shown[event.ID] = true
	}
	update.Events = append(past, slices.DeleteFunc(update.Events, func(e TenantEvent) bool { return shown[e.ID] })...)
	return update, err
}

func (w *watch) follow(ctx context.Context, yield func(WatchUpdate) error) error {
	judge := time.NewTicker(judgeEvery)
	defer judge.Stop()
	late := time.NewTimer(recount)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.pulse.wake:
		case <-judge.C:
		case <-late.C:
		}
		update, err := w.read(ctx, w.core.pulses.take(w.pulse))
		if err == nil && !update.empty() {
			err = yield(update)
		}
		if err == nil {
			err = pause(ctx, summaryPause)
		}
		if err != nil {
			return err
		}
		if w.anyStale() {
			late.Reset(recount)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// read makes an update of the tenants that were touched, of those whose devices
// are due to be counted, and of those that the clock has changed.
func (w *watch) read(ctx context.Context, touched map[uuid.UUID]bool) (WatchUpdate, error) {
	now := w.core.now()
	update := WatchUpdate{Time: now}
	changed := map[uuid.UUID]bool{}
	for id := range touched {
		removed, err := w.refresh(ctx, id)
		if err != nil {
			return update, err
		}
		if removed != "" {
			update.Removed = append(update.Removed, removed)
			continue
		}
		changed[id] = true
	}
	for id, known := range w.known {
		counted, err := w.count(ctx, known, now)
		if err != nil {
			return update, err
		}
		if counted {
			changed[id] = true
		}
	}
	if touched[w.platform] || w.shared == nil {
		if err := w.readShared(ctx, &update); err != nil {
			return update, err
		}
	}
	w.judgeAll(changed, &update)
	for id := range changed {
		if known := w.known[id]; known != nil {
			update.Tenants = append(update.Tenants, known.summary)
		}
	}
	slices.SortFunc(update.Tenants, func(a, b Summary) int { return compareSlugs(a.Tenant, b.Tenant) })
	w.takeEvents(&update)
	return update, nil
}

func compareSlugs(a, b Tenant) int {
	switch {
	case a.Slug < b.Slug:
		return -1
	case a.Slug > b.Slug:
		return 1
	}
	return 0
}

// refresh reads a tenant again; removed is the slug of one that is gone.
func (w *watch) refresh(ctx context.Context, id uuid.UUID) (removed string, err error) {
	tenant, err := w.core.tenantByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return w.forget(id), nil
	}
	if err != nil {
		return "", err
	}
	if w.query.Tenant != "" && tenant.Slug != w.query.Tenant {
		return "", nil
	}
	s, err := w.core.scopeOf(ctx, tenant)
	if errors.Is(err, ErrNotFound) {
		return w.forget(id), nil
	}
	if err != nil {
		return "", err
	}
	services, sources, err := servicesAndSources(ctx, s)
	if err != nil {
		return "", err
	}
	holds, err := holdsIn(ctx, s)
	if err != nil {
		return "", err
	}
	known := w.known[id]
	if known == nil {
		known = &standing{}
		w.known[id] = known
	}
	known.stale = true
	known.summary.Tenant, known.summary.Updates = tenant, w.core.pulses.updatesOf(id)
	known.summary.Services = known.summary.Services[:0:0]
	for _, service := range services {
		if service.State != ServiceRemoved {
			known.summary.Services = append(known.summary.Services, Service{SyncService: service, Tenant: tenant})
		}
	}
	known.summary.Sources = known.summary.Sources[:0:0]
	for _, source := range sources {
		one := view(source, tenant, services)
		one.Holds = holds[source.ID.String()]
		known.summary.Sources = append(known.summary.Sources, one)
	}
	return "", nil
}

func (w *watch) forget(id uuid.UUID) string {
	known := w.known[id]
	delete(w.known, id)
	if known == nil {
		return ""
	}
	return known.summary.Tenant.Slug
}

// count counts a tenant's devices, unless that was done a moment ago.
func (w *watch) count(ctx context.Context, known *standing, now time.Time) (bool, error) {
	if !known.stale || !known.counted.IsZero() && now.Sub(known.counted) < max(recount, recountShare*known.cost) {
		return false, nil
	}
	began := time.Now()
	n, err := w.core.CountDevices(ctx, DeviceQuery{Tenant: known.summary.Tenant.Slug})
	var refusal *Error
	if errors.As(err, &refusal) { // It was removed since; the next look says so.
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("count devices: %w", err)
	}
	changed := n != known.summary.Devices
	known.summary.Devices, known.stale, known.counted, known.cost = n, false, now, time.Since(began)
	return changed, nil
}

func (w *watch) anyStale() bool {
	for _, known := range w.known {
		if known.stale {
			return true
		}
	}
	return false
}

func (w *watch) readShared(ctx context.Context, update *WatchUpdate) error {
	shared, err := w.core.platformServices(ctx)
	if err != nil {
		return err
	}
	for i := range shared {
		w.core.judge(&shared[i], tally{})
	}
	w.shared = append([]Service{}, shared...)
	update.Shared, update.SharedChanged = w.shared, true
	return nil
}

// judgeAll says anew how each service does, and marks the tenants where that
// has changed. Names of the services that run sources are filled in on the way.
func (w *watch) judgeAll(changed map[uuid.UUID]bool, update *WatchUpdate) {
	tally, names := tally{}, map[uuid.UUID]string{}
	for _, service := range w.shared {
		names[service.ID] = service.Name
	}
	for _, known := range w.known {
		for _, source := range known.summary.Sources {
			tally.add([]Source{source.Source})
		}
		for _, service := range known.summary.Services {
			names[service.ID] = service.Name
		}
	}
	for id, known := range w.known {
		services := slices.Clone(known.summary.Services)
		for i := range services {
			before := services[i]
			w.core.judge(&services[i], tally)
			if services[i].Status != before.Status || services[i].Sources != before.Sources || services[i].Failing != before.Failing {
				changed[id] = true
			}
		}
		known.summary.Services = services
		for i := range known.summary.Sources {
			source := &known.summary.Sources[i]
			if name, ok := names[source.SyncServiceID]; ok {
				source.ServiceName = name
			}
		}
	}
	for i := range w.shared {
		before := w.shared[i].Status
		if w.core.judge(&w.shared[i], tally); w.shared[i].Status != before {
			update.Shared, update.SharedChanged = slices.Clone(w.shared), true
		}
	}
}

// takeEvents takes what has been recorded. A watcher that fell behind is
// replaced: the caller is told that some are missing.
func (w *watch) takeEvents(update *WatchUpdate) {
	for {
		select {
		case event := <-w.events.events:
			update.Events = append(update.Events, event)
			continue
		default:
		}
		break
	}
	select {
	case <-w.events.behind:
		w.core.watchers.drop(w.events)
		w.events = w.core.watchers.add(EventQuery{Tenant: w.query.Tenant}, w.core.now())
		update.EventsMissed = true
	default:
	}
}
