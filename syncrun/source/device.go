package source

import (
	"maps"
	"net/netip"
	"slices"

	"edgesync/proto/payload"
)

// How many bytes of an update each thing may take, so that no device, however
// many ports it has, passes payload.MaxMetadata.
const (
	maxName   = 255
	maxValue  = 256
	maxIPs    = 3 << 10
	maxMACs   = 5 << 10
	maxTags   = 3 << 9
	maxLabels = 1 << 10
)

// Device is what an adapter read of one thing, before it is an update.
type Device struct {
	// NativeID is the source's own id ("7", "device:7").
	NativeID string
	// NativeKey is the metadata key it goes under besides integration_id, or empty.
	NativeKey string
	Name      string
	IPs       []netip.Addr
	MACs      []string
	Offline   bool

	Serial, Manufacturer, Model, OS, Type, Site, CustomField string
	Tags                                                     []string
}

// Shaper makes updates of one source's devices.
type Shaper struct {
	config    payload.Source
	kind      string
	blacklist Blacklist
	options   Options
}

// confidence is that of inventory systems, by the wire protocol's scale.
const confidence = 7

// NewShaper reads of the source what concerns every device.
func NewShaper(config payload.Source, kind string, options Options) (*Shaper, error) {
	blacklist, err := ParseBlacklist(config.NetworkBlacklist)
	if err != nil {
		return nil, err
	}
	return &Shaper{config: config, kind: kind, blacklist: blacklist, options: options.withDefaults()}, nil
}

// Update is the device as an update; false for one all of whose addresses are
// blacklisted.
func (s *Shaper) Update(device Device) (payload.Update, bool) {
	addrs, none := s.blacklist.Keep(device.IPs)
	if none {
		return payload.Update{}, false
	}
	ips := make([]string, len(addrs))
	for i, addr := range order(addrs) {
		ips[i] = addr.String()
	}
	update := payload.Update{
		Hostname:    field(device.Name, maxName),
		Source:      s.kind,
		AgentID:     s.config.AgentID,
		Partition:   s.config.Partition,
		Timestamp:   s.options.Now().UTC(),
		IsAvailable: !device.Offline,
		Confidence:  confidence,
		Metadata:    s.metadata(device, ips),
	}
	if len(ips) > 0 {
		update.IP = ips[0]
	}
	if len(device.MACs) > 0 {
		update.MAC = device.MACs[0]
	}
	return update, true
}

func (s *Shaper) metadata(device Device, ips []string) map[string]string {
	metadata := map[string]string{
		payload.MetaIntegrationType: s.kind,
		payload.MetaIntegrationID:   device.NativeID,
		payload.MetaAllIPs:          join(ips, maxIPs),
		payload.MetaAllMACs:         join(device.MACs, maxMACs),
		payload.MetaSerialNumber:    field(device.Serial, maxValue),
		payload.MetaManufacturer:    field(device.Manufacturer, maxValue),
		payload.MetaModel:           field(device.Model, maxValue),
		payload.MetaOperatingSystem: field(device.OS, maxValue),
		payload.MetaDeviceType:      field(device.Type, maxValue),
		payload.MetaSite:            field(device.Site, maxValue),
		payload.MetaTags:            list(device.Tags, maxTags),
		payload.MetaCustomField:     field(device.CustomField, maxValue),
	}
	if len(ips) > 0 {
		metadata[payload.MetaPrimaryIP] = ips[0]
	}
	if device.NativeKey != "" {
		metadata[device.NativeKey] = device.NativeID
	}
	maps.DeleteFunc(metadata, func(_, value string) bool { return value == "" })
	return metadata
}

// Label writes down which queries found the device.
func Label(update *payload.Update, labels []string) {
	if text := list(labels, maxLabels); text != "" {
		update.Metadata[payload.MetaQueryLabel] = text
	}
}

// list is a comma list of outside texts, none of them twice, that ends where the
// limit is reached.
func list(texts []string, limit int) string {
	var elements []string
	for size, i := 0, 0; i < len(texts) && size <= limit; i++ {
		text := field(texts[i], maxValue)
		if !slices.Contains(elements, text) {
			elements = append(elements, text)
			size += len(text) + 1
		}
	}
	return join(elements, limit)
}

// order puts addresses that only the device's own link can reach behind the
// others, so that none of them becomes the primary one while there is another.
func order(addrs []netip.Addr) []netip.Addr {
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int {
		switch linkLocal := a.IsLinkLocalUnicast(); {
		case linkLocal == b.IsLinkLocalUnicast():
			return 0
		case linkLocal:
			return 1
		default:
			return -1
		}
	})
	return addrs
}
