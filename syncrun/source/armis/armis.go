// Package armis reads the devices of an Armis Centrix tenant through its search
// API. It knows that API's shapes and habits and nothing of schedules, chunks or
// the gateway.
package armis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun/source"
)

// defaultPage is how many devices a page holds when the source does not say.
const defaultPage = 1000

// everything is the query of a source that has none.
const everything = "in:devices"

// Adapter reads one Armis source. Its runs must not overlap.
type Adapter struct {
	client   *source.Client
	shaper   *source.Shaper
	queries  []payload.Query
	pageSize int
	secret   string
	custom   string
	tempDir  string
}

// New makes the adapter of a source, or says what its configuration lacks.
func New(config payload.Source, options source.Options) (source.Adapter, error) {
	adapter := &Adapter{queries: config.Queries, custom: config.CustomField, tempDir: options.TempDir}
	adapter.secret = strings.TrimSpace(config.Credentials[payload.CredentialSecretKey])
	if adapter.secret == "" {
		adapter.secret = strings.TrimSpace(config.Credentials[payload.CredentialAPIKey])
	}
	if adapter.secret == "" {
		return nil, fmt.Errorf("read credentials: %s is missing", payload.CredentialSecretKey)
	}
	if len(adapter.queries) == 0 {
		adapter.queries = []payload.Query{{Query: everything}}
	}
	for i, query := range adapter.queries {
		if query.Query == "" {
			return nil, fmt.Errorf("read queries: number %d (%q) is empty", i+1, query.Label)
		}
	}
	var err error
	config.Endpoint = source.BaseURL(config.Endpoint, "/api/v1", "/api")
	if adapter.pageSize, err = source.PageSize(config, defaultPage); err != nil {
		return nil, err
	}
	if adapter.client, err = source.NewClient(config, options, adapter.secret); err != nil {
		return nil, err
	}
	if adapter.shaper, err = source.NewShaper(config, payload.TypeArmis, options); err != nil {
		return nil, err
	}
	return adapter, nil
}

// Discover asks every query in turn. Armis has no way to ask for what changed
// only, so Request.Since is not used.
//
// A device that several queries find is emitted once, with the labels of all of
// them. That takes knowing every answer first, and emitting it again with each
// further label would leave the labels to chance: two updates of one run are
// ordered by their content alone. So devices of all queries but the last wait in
// a compressed temporary file, and memory holds the ids that each query found.
// One query, the usual number, needs no file.
func (a *Adapter) Discover(ctx context.Context, request source.Request, emit func(payload.Update) error) (source.Discovery, error) {
	r := &run{Adapter: a, queries: a.queries, emit: emit, sample: request.Sample, lookup: request.Lookup}
	if r.lookup != nil && r.lookup.Unfiltered {
		r.queries = []payload.Query{{Query: everything}}
	}
	r.walks = make([]source.Walk, len(r.queries))
	r.found = source.Discovery{Total: -1, Mode: payload.ModeIncremental}
	err := r.discover(ctx)
	if r.spool != nil {
		if errClose := r.spool.close(); err == nil {
			err = errClose
		}
	}
	return r.found, err
}

// run is one discovery.
type run struct {
	*Adapter
	// queries are the source's, or what replaces them.
	queries []payload.Query
	emit    func(payload.Update) error
	token   string
	// sample ends each query with its first page.
	sample bool
	lookup *source.Lookup
	// walks are what each query found so far.
	walks []source.Walk
	spool *spool
	found source.Discovery
}

func (r *run) discover(ctx context.Context) error {
	var err error
	if len(r.queries) > 1 && r.lookup == nil {
		if r.spool, err = newSpool(r.tempDir); err != nil {
			return err
		}
	}
	if err := r.login(ctx); err != nil {
		return err
	}
	for number := range r.queries {
		if err := r.pages(ctx, number); err != nil {
			return r.ofQuery(number, err)
		}
	}
	if r.spool != nil {
		if err := r.spool.each(ctx, r.hand); err != nil {
			return err
		}
	}
	r.conclude()
	return nil
}

// conclude says what the run amounts to, once everything was read.
func (r *run) conclude() {
	if len(r.queries) == 1 {
		r.found.Total = r.walks[0].Total()
	}
	for number := range r.walks {
		if partial := r.walks[number].Partial(); partial != "" {
			r.found.Partial = r.ofQuery(number, errors.New(partial)).Error()
			return
		}
	}
	if r.found.Unnamed > 0 {
		r.found.Partial = fmt.Sprintf("%d devices came without an id", r.found.Unnamed)
		return
	}
	r.found.Mode = payload.ModeSnapshot
}

// ofQuery says which query an error belongs to where there are several.
func (r *run) ofQuery(number int, err error) error {
	if len(r.queries) == 1 {
		return err
	}
	return fmt.Errorf("query %d (%s): %w", number+1, r.queries[number].Label, err)
}

// pages reads one query to its end.
func (r *run) pages(ctx context.Context, number int) error {
	walk := &r.walks[number]
	for from, count := int64(0), 1; ; count++ {
		pageCtx, span := tracing.Below(ctx, "page")
		page, err := r.search(pageCtx, r.queries[number].Query, from)
		span.Count("from", from)
		span.End(err)
		if err != nil {
			return err
		}
		fresh, err := r.takePage(number, count, page)
		if err != nil {
			return err
		}
		next := page.next()
		if err := walk.Page(len(page.Results), fresh, page.total(), next > 0); err != nil {
			return err
		}
		switch {
		case next == 0, r.sample:
			return nil
		case next <= from:
			return source.Errorf(source.ReasonAnswer, "the pages do not end: the one at %d names %d as the next", from, next)
		}
		from = next
	}
}

// takePage takes the devices of a page, and returns how many are new to the query.
func (r *run) takePage(number, count int, page *page) (fresh int, err error) {
	if r.lookup != nil {
		for i := range page.Results {
			if id := page.Results[i].ID; id != 0 && r.walks[number].Add(id) {
				fresh++
			}
		}
		return fresh, r.lookup.Page(r.shaper, r.name(number), count, len(page.Results), func(i int) (source.Device, bool) {
			return page.Results[i].shape(r.custom), page.Results[i].ID != 0
		})
	}
	for i := range page.Results {
		isNew, err := r.take(number, &page.Results[i])
		if err != nil {
			return fresh, err
		}
		if isNew {
			fresh++
		}
	}
	return fresh, nil
}

// name is what a query is called by whoever configured it.
func (r *run) name(number int) string {
	if label := r.queries[number].Label; label != "" {
		return label
	}
	return r.queries[number].Query
}

// take notes a device of a query, and passes it on when no earlier query did. It
// tells whether it is new to this query.
func (r *run) take(number int, record *device) (bool, error) {
	if record.ID == 0 {
		r.found.Unnamed++
		return false, nil
	}
	if !r.walks[number].Add(record.ID) {
		return false, nil
	}
	for earlier := range r.walks[:number] {
		if r.walks[earlier].Has(record.ID) {
			return true, nil
		}
	}
	update, ok := r.shaper.Update(record.shape(r.custom))
	switch {
	case !ok:
		r.found.Blacklisted++
		return true, nil
	case number < len(r.queries)-1:
		return true, r.spool.add(record.ID, update)
	}
	return true, r.hand(record.ID, update)
}

// hand emits a device with the labels of all queries that found it.
func (r *run) hand(id source.ID, update payload.Update) error {
	var labels []string
	for number := range r.walks {
		if r.walks[number].Has(id) {
			labels = append(labels, r.queries[number].Label)
		}
	}
	source.Label(&update, labels)
	if err := r.emit(update); err != nil {
		return err
	}
	r.found.Devices++
	return nil
}
