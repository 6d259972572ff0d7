package faker

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgesync/faker/inventory"
)

// How many results a NetBox page holds when not asked, and at the most.
const (
	netboxPage    = 50
	netboxMaxPage = 1000
)

// maxRequestURI is what the application server NetBox is deployed with takes.
const maxRequestURI = 4094

type netboxList struct {
	Count    int     `json:"count"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  []any   `json:"results"`
}

// listing is a list of things by position.
type listing struct {
	count int
	at    func(position int) any
}

// lister makes the listing a request asks for.
type lister func(params url.Values) listing

// netbox is an endpoint that checks the token and answers a page of a listing.
func (s *Server) netbox(list lister) func(*http.Request) answer {
	return func(r *http.Request) answer {
		if len(r.RequestURI) > maxRequestURI {
			return answer{status: http.StatusRequestURITooLong, body: detail("Request line is too long.")}
		}
		if message := s.refuses(r.Header.Get("Authorization")); message != "" {
			return answer{status: http.StatusForbidden, body: detail(message)}
		}
		return answer{status: http.StatusOK, body: s.netboxPage(r, list(r.URL.Query()))}
	}
}

// refuses says why an Authorization header does not do.
func (s *Server) refuses(header string) string {
	scheme := "Token "
	if strings.HasPrefix(s.options.Token, "nbt_") {
		scheme = "Bearer "
	}
	token, found := strings.CutPrefix(header, scheme)
	switch {
	case !found:
		return "Authentication credentials were not provided."
	case subtle.ConstantTimeCompare([]byte(token), []byte(s.options.Token)) != 1:
		return "Invalid token"
	}
	return ""
}

func (s *Server) netboxPage(r *http.Request, list listing) netboxList {
	params := r.URL.Query()
	limit, err := number(params.Get("limit"), netboxPage)
	if err != nil {
		limit = netboxPage
	}
	if limit == 0 || limit > netboxMaxPage {
		limit = netboxMaxPage
	}
	offset, err := number(params.Get("offset"), 0)
	if err != nil {
		offset = 0
	}
	endless := s.faults.Load().EndlessNext && list.count > 0
	start := offset
	if endless {
		start = offset % list.count
	}
	page := netboxList{Count: list.count, Results: []any{}}
	for position := start; position < min(start+limit, list.count); position++ {
		page.Results = append(page.Results, list.at(position))
	}
	if next := offset + limit; endless || next < list.count {
		page.Next = s.link(r, limit, next)
	}
	if offset > 0 {
		page.Previous = s.link(r, limit, max(0, offset-limit))
	}
	return page
}

// link is the absolute URL of another page of the same listing.
func (s *Server) link(r *http.Request, limit, offset int) *string {
	base := s.options.NextBase
	if base == "" {
		base = "http://" + r.Host
		if r.TLS != nil {
			base = "https://" + r.Host
		}
	}
	params := r.URL.Query()
	params.Set("limit", strconv.Itoa(limit))
	params.Set("offset", strconv.Itoa(offset))
	link := base + r.URL.Path + "?" + params.Encode()
	return &link
}

func (s *Server) devices(params url.Values) listing {
	epoch, context := s.Epoch(), params.Get("exclude") != "config_context"
	return s.updatedSince(params, s.counts.NetBoxDevices, func(index int) inventory.Device {
		return s.inventory.Device(inventory.NetBoxDevice, index, epoch)
	}, func(device inventory.Device) any { return s.shapeDevice(device, context) })
}

func (s *Server) virtualMachines(params url.Values) listing {
	epoch, context := s.Epoch(), params.Get("exclude") != "config_context"
	return s.updatedSince(params, s.counts.NetBoxVMs, func(index int) inventory.Device {
		return s.inventory.Device(inventory.NetBoxVM, index, epoch)
	}, func(device inventory.Device) any { return s.shapeVM(device, context) })
}

// updated is when a device changed last: with the churn of all, or on its own.
func (s *Server) updated(device inventory.Device) time.Time {
	if at, any := s.changed(); any {
		return at
	}
	return device.FirstSeen.Add(36 * time.Hour)
}

// updatedSince lists the things that NetBox's filter last_updated__gte leaves.
func (s *Server) updatedSince(params url.Values, count int, device func(index int) inventory.Device, shape func(inventory.Device) any) listing {
	all := listing{count: count, at: func(position int) any { return shape(device(position)) }}
	since, err := time.Parse(time.RFC3339, params.Get("last_updated__gte"))
	if err != nil {
		return all
	}
	if at, any := s.changed(); any {
		if at.Before(since) {
			all.count = 0
		}
		return all
	}
	var left []int
	for index := range count {
		if !s.updated(device(index)).Before(since) {
			left = append(left, index)
		}
	}
	return listing{count: len(left), at: func(position int) any { return shape(device(left[position])) }}
}

func (s *Server) interfaces(params url.Values) listing {
	return s.ports(inventory.NetBoxDevice, s.counts.NetBoxDevices, params["device_id"])
}

func (s *Server) vmInterfaces(params url.Values) listing {
	return s.ports(inventory.NetBoxVM, s.counts.NetBoxVMs, params["virtual_machine_id"])
}

// portNames are the interfaces of every device: as many MACs as it has belong
// to the first ones, the others have none.
var portNames = [...]string{"eth0", "eth1", "lo0"}

// ports lists the interfaces of the named owners, or of all when none is named.
func (s *Server) ports(kind inventory.Kind, size int, ids []string) listing {
	owners := make([]int, 0, len(ids))
	for _, text := range ids {
		if id, err := strconv.Atoi(text); err == nil && id >= 1 && id <= size {
			owners = append(owners, id-1)
		}
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	count := len(owners)
	owner := func(n int) int { return owners[n] }
	if len(ids) == 0 {
		count, owner = size, func(n int) int { return n }
	}
	return listing{count: count * len(portNames), at: func(position int) any {
		device := s.inventory.Device(kind, owner(position/len(portNames)), 0)
		return s.shapePort(device, position%len(portNames))
	}}
}

// prefixed writes an address as NetBox does, with the length of its network.
func prefixed(device inventory.Device, ipv6 bool) *netboxAddress {
	for _, addr := range device.Addresses {
		if addr.Is6() == ipv6 {
			bits, family := 24, 4
			if ipv6 {
				bits, family = 64, 6
			}
			return &netboxAddress{ID: 2*device.Index + family/4, Family: family, Address: fmt.Sprintf("%s/%d", addr, bits)}
		}
	}
	return nil
}
