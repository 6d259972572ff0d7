// Package netbox reads the devices and virtual machines of a NetBox through its
// REST API, versions 2.10 and later. It knows that API's shapes and habits and
// nothing of schedules, chunks or the gateway.
package netbox

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun/source"
)

// defaultPage is how many things a page holds when the source does not say: as
// many as one request for their interfaces can name (see maxQuery).
const defaultPage = 150

// listing is one of the two lists NetBox keeps of things that sync.
type listing struct {
	// kind is what native ids begin with: both lists count from 1.
	kind string
	path string
	// ports is the list of interfaces and owner its filter by whose they are.
	ports, owner string
}

var listings = []listing{
	{kind: "device", path: "/api/dcim/devices/", ports: "/api/dcim/interfaces/", owner: "device_id"},
	{kind: "vm", path: "/api/virtualization/virtual-machines/", ports: "/api/virtualization/interfaces/", owner: "virtual_machine_id"},
}

// Adapter reads one NetBox source.
type Adapter struct {
	client        *source.Client
	shaper        *source.Shaper
	pageSize      int
	authorization string
	custom        string
}

// New makes the adapter of a source, or says what its configuration lacks.
func New(config payload.Source, options source.Options) (source.Adapter, error) {
	token := strings.TrimSpace(config.Credentials[payload.CredentialAPIToken])
	switch {
	case token == "":
		return nil, fmt.Errorf("read credentials: %s is missing", payload.CredentialAPIToken)
	case !source.Printable(token):
		return nil, fmt.Errorf("read credentials: %s must be the token alone, without %q before it or a blank in it", payload.CredentialAPIToken, "Token")
	}
	adapter := &Adapter{authorization: "Token " + token, custom: config.CustomField}
	if strings.HasPrefix(token, "nbt_") {
		// Tokens of version 2, since NetBox 4.5.
		adapter.authorization = "Bearer " + token
	}
	var err error
	config.Endpoint = source.BaseURL(config.Endpoint, "/api")
	if adapter.pageSize, err = source.PageSize(config, defaultPage); err != nil {
		return nil, err
	}
	if adapter.client, err = source.NewClient(config, options, token); err != nil {
		return nil, err
	}
	if adapter.shaper, err = source.NewShaper(config, payload.TypeNetBox, options); err != nil {
		return nil, err
	}
	return adapter, nil
}

// Discover reads devices, then virtual machines, each page with the interfaces
// of what it holds. With Request.Since only what NetBox noted a change of is
// read, which does not include changes of interfaces.
//
// What stands in for a NetBox, or the proxy before one, may have devices and none
// of the other lists. Without virtual machines the run is partial, since whatever
// hides them may have shown them before; without interfaces it is whole.
func (a *Adapter) Discover(ctx context.Context, request source.Request, emit func(payload.Update) error) (source.Discovery, error) {
	r := &run{Adapter: a, emit: emit}
	r.found.Mode = payload.ModeIncremental
	for i, list := range listings {
		err := r.pages(ctx, list, request)
		switch {
		case i > 0 && missing(err):
			r.found.Total = -1
			r.partial(list.path, "the source has no such list")
			r.lack(list.path)
		case err != nil:
			r.found.Total = -1
			return r.found, err
		}
	}
	switch {
	case r.found.Partial != "":
	case r.found.Unnamed > 0:
		r.found.Partial = fmt.Sprintf("%d things came without an id", r.found.Unnamed)
	case request.Since.IsZero():
		r.found.Mode = payload.ModeSnapshot
	}
	return r.found, nil
}

// run is one discovery.
type run struct {
	*Adapter
	emit  func(payload.Update) error
	found source.Discovery
	// absent are the lists that turned out not to exist.
	absent []string
	// oneByOne is whether the server looks at one owner of interfaces only,
	// however many it is asked for.
	oneByOne bool
}

// firstQuery asks for a listing from its beginning. The order by id keeps what
// is created meanwhile from moving the pages; the config context is left out
// because rendering it is most of what a page costs NetBox.
func (r *run) firstQuery(since time.Time) string {
	query := url.Values{
		"limit":    {strconv.Itoa(r.pageSize)},
		"ordering": {"id"},
		"exclude":  {"config_context"},
	}
	if !since.IsZero() {
		query.Set("last_updated__gte", since.UTC().Format(time.RFC3339))
	}
	return query.Encode()
}

// pages reads a listing to its end.
func (r *run) pages(ctx context.Context, list listing, request source.Request) error {
	var walk source.Walk
	for query, count := r.firstQuery(request.Since), 1; query != ""; count++ {
		pageCtx, span := tracing.Below(ctx, "page")
		span.Text("list", list.path)
		page, err := get[thing](pageCtx, r, list.path, query)
		var fresh []thing
		if err == nil {
			span.Count("things", int64(len(page.Results)))
			err = r.look(pageCtx, request.Lookup, list, count, page.Results)
		}
		if err == nil {
			fresh = r.fresh(&walk, page.Results)
			if request.Lookup == nil {
				err = r.hand(pageCtx, list, fresh)
			}
		}
		span.End(err)
		if err != nil {
			return err
		}
		if query, err = page.next(query); err != nil {
			return err
		}
		if err := walk.Page(len(page.Results), len(fresh), page.count(), query != ""); err != nil {
			return err
		}
		if request.Sample {
			break
		}
	}
	r.note(list.path, &walk)
	if r.found.Total >= 0 && walk.Total() >= 0 {
		r.found.Total += walk.Total()
	} else {
		r.found.Total = -1
	}
	return nil
}

// look looks for things on a page.
func (r *run) look(ctx context.Context, lookup *source.Lookup, list listing, count int, things []thing) error {
	if lookup == nil {
		return nil
	}
	var macs map[source.ID][]string
	if lookup.MACs {
		var err error
		named := slices.DeleteFunc(slices.Clone(things), func(t thing) bool { return t.ID == 0 })
		if macs, err = r.macs(ctx, list, named); err != nil {
			return err
		}
	}
	return lookup.Page(r.shaper, list.path, count, len(things), func(i int) (source.Device, bool) {
		device := things[i].shape(list.kind, r.custom)
		device.MACs = source.MACs(macs[things[i].ID]...)
		return device, things[i].ID != 0
	})
}

// note keeps why a listing did not come whole.
func (r *run) note(path string, walk *source.Walk) {
	if partial := walk.Partial(); partial != "" {
		r.partial(path, partial)
	}
}

// partial keeps why the run does not cover the source; the first reason is enough.
func (r *run) partial(path, why string) {
	if r.found.Partial == "" {
		r.found.Partial = path + ": " + why
	}
}

// lack keeps that a list does not exist.
func (r *run) lack(path string) {
	r.absent = append(r.absent, path)
	r.found.Lacks = strings.Join(r.absent, ", ")
}

// fresh is what a page holds that no page before it did.
func (r *run) fresh(walk *source.Walk, page []thing) []thing {
	fresh := page[:0]
	for _, t := range page {
		switch {
		case t.ID == 0:
			r.found.Unnamed++
		case walk.Add(t.ID):
			fresh = append(fresh, t)
		}
	}
	return fresh
}

// hand emits the things of a page.
func (r *run) hand(ctx context.Context, list listing, things []thing) error {
	macs, err := r.macs(ctx, list, things)
	if err != nil {
		return err
	}
	for i := range things {
		ports, still := macs[things[i].ID]
		if !still {
			continue
		}
		device := things[i].shape(list.kind, r.custom)
		device.MACs = source.MACs(ports...)
		update, ok := r.shaper.Update(device)
		if !ok {
			r.found.Blacklisted++
			continue
		}
		if err := r.emit(update); err != nil {
			return err
		}
		r.found.Devices++
	}
	return nil
}
