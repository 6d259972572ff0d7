package netbox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"edgesync/syncrun/source"
)

// maxQuery is how long a query string that names owners gets. The application
// servers NetBox is deployed with refuse a request line above 4094 bytes.
const maxQuery = 3800

// portPage is how many interfaces a page holds: what NetBox gives at most by default.
const portPage = 1000

// maxPortMACs is how many MACs of one thing are kept: more than an update takes.
const maxPortMACs = 512

// macs are the MAC addresses of things by their ids, read in one request as far
// as its length allows and the answer fits a page. A thing deleted since its page
// was read is not among them.
func (r *run) macs(ctx context.Context, list listing, things []thing) (map[source.ID][]string, error) {
	macs, doubted := make(map[source.ID][]string, len(things)), false
	for things = slices.Clone(things); len(things) > 0; {
		batch := things
		if r.oneByOne {
			batch = things[:1]
		}
		query, named := ownersQuery(list.owner, batch)
		for i := range things[:named] {
			macs[things[i].ID] = nil
		}
		err := r.ports(ctx, list, query, macs)
		if gone := deleted(err, list.owner, things[:named]); gone >= 0 {
			r.partial(list.path, things[gone].ID.String()+" was deleted while it was read")
			delete(macs, things[gone].ID)
			things = slices.Delete(things, gone, gone+1)
			continue
		}
		if err != nil {
			return nil, err
		}
		if only := onlyOne(macs, things[:named]); only >= 0 {
			// Asked for the others again, a NetBox has nothing to add.
			r.oneByOne, doubted = doubted, true
			things = slices.Delete(things, only, only+1)
			continue
		}
		things, doubted = things[named:], false
	}
	return macs, nil
}

// onlyOne is the one of several things that has interfaces, if it is the first or
// the last: either no other has any, or the server looks at one owner only of
// those it was asked for. It is -1 for every other answer.
func onlyOne(macs map[source.ID][]string, things []thing) int {
	only := -1
	for i := range things {
		switch known := macs[things[i].ID] != nil; {
		case known && only >= 0:
			return -1
		case known:
			only = i
		}
	}
	if last := len(things) - 1; last > 0 && (only == 0 || only == last) {
		return only
	}
	return -1
}

// deleted tells which of the things NetBox no longer knows: a filter by owners
// one of which is gone is answered with status 400 and the id of that one. It is
// -1 for every other error.
func deleted(err error, owner string, things []thing) int {
	var failed *source.Error
	if !errors.As(err, &failed) || failed.Status != http.StatusBadRequest {
		return -1
	}
	said, about := strings.CutPrefix(failed.Said, owner+": ")
	if !about {
		return -1
	}
	words := strings.Fields(said)
	return slices.IndexFunc(things, func(t thing) bool { return slices.Contains(words, t.ID.String()) })
}

// ownersQuery asks for the interfaces of the first of the things, and tells of
// how many.
func ownersQuery(owner string, things []thing) (query string, named int) {
	base := url.Values{"limit": {strconv.Itoa(portPage)}, "ordering": {"id"}}
	var text strings.Builder
	text.WriteString(base.Encode())
	for _, t := range things {
		term := "&" + owner + "=" + t.ID.String()
		if text.Len()+len(term) > maxQuery {
			break
		}
		text.WriteString(term)
		named++
	}
	return text.String(), named
}

// ports reads a list of interfaces to its end into macs. NetBox adds those of
// the other members of a virtual chassis to its master's; an interface whose
// owner was not asked for is left out. A list that does not exist holds none.
func (r *run) ports(ctx context.Context, list listing, query string, macs map[source.ID][]string) error {
	if slices.Contains(r.absent, list.ports) {
		return nil
	}
	var walk source.Walk
	for query != "" {
		page, err := get[port](ctx, r, list.ports, query)
		if missing(err) && walk.Total() < 0 {
			r.lack(list.ports)
			return nil
		}
		if err != nil {
			return err
		}
		fresh := 0
		for i := range page.Results {
			found := &page.Results[i]
			if !walk.Add(found.ID) {
				continue
			}
			fresh++
			owner := found.owner()
			if known, asked := macs[owner]; asked && len(known) < maxPortMACs {
				macs[owner] = append(known, found.macs()...)
			}
		}
		if query, err = page.next(query); err != nil {
			return err
		}
		if err := walk.Page(len(page.Results), fresh, page.count(), query != ""); err != nil {
			return err
		}
	}
	r.note(list.ports, &walk)
	return nil
}
