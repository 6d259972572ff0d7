package netbox

import (
	"context"
	"net/url"
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
// as its length allows and the answer fits a page.
func (r *run) macs(ctx context.Context, list listing, things []thing) (map[source.ID][]string, error) {
	macs := make(map[source.ID][]string, len(things))
	for len(things) > 0 {
		query, named := ownersQuery(list.owner, things)
		for i := range things[:named] {
			macs[things[i].ID] = nil
		}
		if err := r.ports(ctx, list, query, macs); err != nil {
			return nil, err
		}
		things = things[named:]
	}
	return macs, nil
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
// owner was not asked for is left out.
func (r *run) ports(ctx context.Context, list listing, query string, macs map[source.ID][]string) error {
	var walk source.Walk
	for query != "" {
		page, err := get[port](ctx, r, list.ports, query)
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
