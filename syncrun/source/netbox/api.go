package netbox

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

// page is a page of any listing.
type page[T any] struct {
	Count   *source.Count `json:"count"`
	Next    source.Text   `json:"next"`
	Results []T           `json:"results"`
}

func (p *page[T]) count() int64 {
	if p.Count == nil {
		return -1
	}
	return int64(*p.Count)
}

// maxNext is the longest next link that is followed.
const maxNext = 8 << 10

// next is the query string of the next page, empty at the end. Scheme, host and
// path of the link are not looked at: a NetBox behind a proxy names others, and
// nothing else gets to choose where the token goes.
func (p *page[T]) next(current string) (string, error) {
	if p.Next == "" {
		return "", nil
	}
	link, err := url.Parse(string(p.Next))
	switch {
	case err != nil || len(p.Next) > maxNext || link.RawQuery == "":
		return "", source.Errorf(source.ReasonAnswer, "the link to the next page is none")
	case link.RawQuery == current:
		return "", source.Errorf(source.ReasonAnswer, "the pages do not end: one names itself as the next")
	}
	return link.RawQuery, nil
}

// thing is a device or a virtual machine.
type thing struct {
	ID         source.ID    `json:"id"`
	Name       source.Text  `json:"name"`
	DeviceType deviceType   `json:"device_type"`
	Role       source.Named `json:"role"`
	// DeviceRole is what Role was called before NetBox 3.6.
	DeviceRole source.Named `json:"device_role"`
	Platform   source.Named `json:"platform"`
	Site       source.Named `json:"site"`
	Status     source.Named `json:"status"`
	PrimaryIP4 address      `json:"primary_ip4"`
	PrimaryIP6 address      `json:"primary_ip6"`
	// PrimaryIP is that of the two which NetBox prefers.
	PrimaryIP    address         `json:"primary_ip"`
	Serial       source.Text     `json:"serial"`
	Tags         source.Texts    `json:"tags"`
	CustomFields json.RawMessage `json:"custom_fields"`
}

type deviceType struct {
	Manufacturer source.Named `json:"manufacturer"`
	Model        source.Text  `json:"model"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *deviceType) UnmarshalJSON(data []byte) error {
	type object deviceType
	return unwrap(data, (*object)(t), &t.Model)
}

// address is an IP address with its prefix length, in an object of its own.
type address struct {
	Address source.Text `json:"address"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *address) UnmarshalJSON(data []byte) error {
	type object address
	return unwrap(data, (*object)(a), &a.Address)
}

// unwrap reads an object or, from what gives it without one, the thing it is
// known by alone: no shape of one device's fields costs a page.
func unwrap(data []byte, object, alone any) error {
	if data[0] == '{' {
		return json.Unmarshal(data, object)
	}
	return json.Unmarshal(data, alone)
}

// notRunning are the statuses of things that exist on paper only, or no more.
var notRunning = map[string]bool{
	"offline": true, "planned": true, "staged": true, "failed": true,
	"inventory": true, "decommissioning": true, "paused": true,
}

// shape is the thing as every adapter has them, but for its MACs.
func (t *thing) shape(kind, custom string) source.Device {
	shaped := source.Device{
		NativeID:     kind + ":" + t.ID.String(),
		NativeKey:    payload.MetaNetBoxDeviceID,
		Name:         string(t.Name),
		IPs:          source.Addresses(string(t.PrimaryIP4.Address), string(t.PrimaryIP6.Address), string(t.PrimaryIP.Address)),
		Manufacturer: string(t.DeviceType.Manufacturer),
		Model:        string(t.DeviceType.Model),
		Offline:      notRunning[strings.ToLower(string(t.Status))],
		Serial:       string(t.Serial),
		OS:           string(t.Platform),
		Type:         string(t.Role),
		Site:         string(t.Site),
		Tags:         t.Tags,
		CustomField:  source.Property(t.CustomFields, custom),
	}
	if shaped.Type == "" {
		shaped.Type = string(t.DeviceRole)
	}
	return shaped
}

// port is an interface of a device or a virtual machine.
type port struct {
	ID             source.ID `json:"id"`
	Device         *owner    `json:"device"`
	VirtualMachine *owner    `json:"virtual_machine"`
	// MACAddress is the only one before NetBox 4.2; since then MAC addresses are
	// objects, any number to an interface.
	MACAddress        source.Text `json:"mac_address"`
	PrimaryMACAddress macObject   `json:"primary_mac_address"`
	MACAddresses      []macObject `json:"mac_addresses"`
}

type owner struct {
	ID source.ID `json:"id"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *owner) UnmarshalJSON(data []byte) error {
	type object owner
	return unwrap(data, (*object)(o), &o.ID)
}

type macObject struct {
	MACAddress source.Text `json:"mac_address"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *macObject) UnmarshalJSON(data []byte) error {
	type object macObject
	return unwrap(data, (*object)(m), &m.MACAddress)
}

func (p *port) owner() source.ID {
	switch {
	case p.Device != nil:
		return p.Device.ID
	case p.VirtualMachine != nil:
		return p.VirtualMachine.ID
	}
	return 0
}

// macs are the MACs of the interface, the primary one first.
func (p *port) macs() []string {
	macs := []string{string(p.PrimaryMACAddress.MACAddress), string(p.MACAddress)}
	for i := range min(len(p.MACAddresses), maxPortMACs) {
		macs = append(macs, string(p.MACAddresses[i].MACAddress))
	}
	return macs
}

// decode reads a page.
func decode[T any](body []byte) (*page[T], error) {
	var answer struct {
		page[T]
		Results *[]T `json:"results"`
	}
	if err := source.Decode(body, &answer); err != nil {
		return nil, err
	}
	if answer.Results == nil {
		return nil, source.Errorf(source.ReasonAnswer, "the answer holds no results")
	}
	answer.page.Results = *answer.Results
	return &answer.page, nil
}

// get asks for a page.
func get[T any](ctx context.Context, r *run, path, query string) (*page[T], error) {
	var found *page[T]
	call := source.Call{Path: path, Query: query, Authorization: r.authorization}
	err := r.client.JSON(ctx, call, func(body []byte) (err error) {
		found, err = decode[T](body)
		return err
	})
	return found, tellToken(err)
}

// missing tells whether an answer says that there is no such list.
func missing(err error) bool {
	var failed *source.Error
	return errors.As(err, &failed) && failed.Status == http.StatusNotFound
}

// tellToken tells a token NetBox does not know from one that may not read: it
// answers 403 to both.
func tellToken(err error) error {
	var failed *source.Error
	if errors.As(err, &failed) && failed.Status == http.StatusForbidden {
		text := strings.ToLower(failed.Error())
		if strings.Contains(text, "invalid token") || strings.Contains(text, "token expired") ||
			strings.Contains(text, "invalid v1 token") || strings.Contains(text, "invalid v2 token") ||
			strings.Contains(text, "credentials were not provided") {
			failed.Reason = source.ReasonToken
		}
	}
	return err
}
