package faker

import (
	"strings"
	"time"

	"edgesync/faker/inventory"
)

type netboxNamed struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
}

type netboxType struct {
	ID           int         `json:"id"`
	Manufacturer netboxNamed `json:"manufacturer"`
	Model        string      `json:"model"`
}

type netboxStatus struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

type netboxAddress struct {
	ID      int    `json:"id"`
	Family  int    `json:"family"`
	Address string `json:"address"`
}

// netboxThing is a device or a virtual machine; each leaves out what the other has.
type netboxThing struct {
	ID         int          `json:"id"`
	Name       *string      `json:"name"`
	DeviceType *netboxType  `json:"device_type,omitempty"`
	Role       *netboxNamed `json:"role,omitempty"`
	// DeviceRole is what Role was called before NetBox 3.6.
	DeviceRole    *netboxNamed      `json:"device_role,omitempty"`
	Tenant        *netboxNamed      `json:"tenant"`
	Platform      *netboxNamed      `json:"platform"`
	Site          *netboxNamed      `json:"site"`
	Cluster       *netboxNamed      `json:"cluster,omitempty"`
	Status        netboxStatus      `json:"status"`
	PrimaryIP     *netboxAddress    `json:"primary_ip"`
	PrimaryIP4    *netboxAddress    `json:"primary_ip4"`
	PrimaryIP6    *netboxAddress    `json:"primary_ip6"`
	Serial        string            `json:"serial"`
	AssetTag      *string           `json:"asset_tag,omitempty"`
	Tags          []netboxNamed     `json:"tags"`
	CustomFields  map[string]any    `json:"custom_fields"`
	ConfigContext map[string]string `json:"config_context,omitempty"`
	Created       time.Time         `json:"created"`
	LastUpdated   time.Time         `json:"last_updated"`
}

type netboxPort struct {
	ID             int          `json:"id"`
	Name           string       `json:"name"`
	Device         *netboxOwner `json:"device,omitempty"`
	VirtualMachine *netboxOwner `json:"virtual_machine,omitempty"`
	MACAddress     *string      `json:"mac_address"`
	*netboxPortMACs
}

// netboxPortMACs is what interfaces have since NetBox 4.2.
type netboxPortMACs struct {
	PrimaryMACAddress *netboxMAC  `json:"primary_mac_address"`
	MACAddresses      []netboxMAC `json:"mac_addresses"`
}

type netboxOwner struct {
	ID   int     `json:"id"`
	Name *string `json:"name"`
}

type netboxMAC struct {
	ID         int    `json:"id"`
	MACAddress string `json:"mac_address"`
}

// nameless says which devices were put into a rack and never named.
func nameless(device inventory.Device) bool {
	return device.Kind == inventory.NetBoxDevice && device.Index%17 == 16
}

func nameOf(device inventory.Device) *string {
	if nameless(device) {
		return nil
	}
	return &device.Name
}

// named is a nested object; its id is made of its name, so that equal names are
// the same object.
func named(name string) *netboxNamed {
	id := 0
	for _, char := range name {
		id = (id*31 + int(char)) % 9973
	}
	return &netboxNamed{ID: id + 1, Name: name, Slug: strings.ReplaceAll(strings.ToLower(name), " ", "-")}
}

// shapeThing is what devices and virtual machines have in common.
func (s *Server) shapeThing(device inventory.Device, context bool) netboxThing {
	thing := netboxThing{
		ID:           device.Index + 1,
		Name:         nameOf(device),
		Role:         named(device.Type),
		Platform:     named(device.OS),
		Site:         named(device.Site),
		Status:       netboxStatus{Value: "active", Label: "Active"},
		PrimaryIP4:   prefixed(device, false),
		PrimaryIP6:   prefixed(device, true),
		Serial:       device.Serial,
		CustomFields: map[string]any{"owner": "IT " + device.Site, "cost_center": nil},
		Tags:         []netboxNamed{},
		Created:      device.FirstSeen,
		LastUpdated:  s.updated(device),
	}
	if thing.PrimaryIP = thing.PrimaryIP6; thing.PrimaryIP == nil {
		thing.PrimaryIP = thing.PrimaryIP4
	}
	if device.Offline {
		thing.Status = netboxStatus{Value: "offline", Label: "Offline"}
	}
	for _, tag := range device.Tags {
		thing.Tags = append(thing.Tags, *named(tag))
	}
	if context {
		thing.ConfigContext = map[string]string{"ntp": "ntp." + strings.ToLower(device.Site) + ".example"}
	}
	return thing
}

func (s *Server) shapeDevice(device inventory.Device, context bool) netboxThing {
	thing := s.shapeThing(device, context)
	thing.DeviceType = &netboxType{ID: named(device.Model).ID, Manufacturer: *named(device.Manufacturer), Model: device.Model}
	if device.Index%3 == 0 {
		tag := "A" + device.Serial
		thing.AssetTag = &tag
	}
	if s.options.NetBoxLegacy {
		thing.DeviceRole, thing.Role = thing.Role, nil
	}
	return thing
}

func (s *Server) shapeVM(device inventory.Device, context bool) netboxThing {
	thing := s.shapeThing(device, context)
	thing.Cluster = named("cluster " + device.Site)
	return thing
}

func (s *Server) shapePort(device inventory.Device, port int) netboxPort {
	shaped := netboxPort{ID: device.Index*len(portNames) + port + 1, Name: portNames[port]}
	owner := &netboxOwner{ID: device.Index + 1, Name: nameOf(device)}
	if device.Kind == inventory.NetBoxVM {
		shaped.VirtualMachine = owner
	} else {
		shaped.Device = owner
	}
	if !s.options.NetBoxLegacy {
		shaped.netboxPortMACs = &netboxPortMACs{MACAddresses: []netboxMAC{}}
	}
	if port >= len(device.MACs) {
		return shaped
	}
	mac := strings.ToUpper(device.MACs[port])
	shaped.MACAddress = &mac
	if !s.options.NetBoxLegacy {
		object := netboxMAC{ID: shaped.ID, MACAddress: mac}
		shaped.PrimaryMACAddress, shaped.MACAddresses = &object, []netboxMAC{object}
	}
	return shaped
}
