package core

import (
	"strings"

	"edgesync/dire"
	"edgesync/proto/payload"
)

// nativeKeys are the metadata keys that hold a source type's own id of a thing;
// every other type's is the generic one.
var nativeKeys = map[string]string{
	payload.TypeArmis:  payload.MetaArmisDeviceID,
	payload.TypeNetBox: payload.MetaNetBoxDeviceID,
}

// consumed are the metadata keys that become facts of their own, or that say
// how an update travels rather than what the device is.
var consumed = map[string]bool{
	payload.MetaIntegrationSourceID: true, payload.MetaDeleted: true,
	payload.MetaAllIPs: true, payload.MetaPrimaryIP: true, payload.MetaAllMACs: true,
	payload.MetaSerialNumber: true, payload.MetaManufacturer: true, payload.MetaModel: true,
	payload.MetaOperatingSystem: true, payload.MetaDeviceType: true,
	payload.MetaSite: true, payload.MetaTags: true,
}

func direUpdates(updates []payload.Update, sourceType string) []dire.Update {
	made := make([]dire.Update, len(updates))
	for i, update := range updates {
		made[i] = direUpdate(update, sourceType)
	}
	return made
}

// direUpdate is what an update says of a device. Who reported it, and which
// tenant or partition it claims, is no part of that.
func direUpdate(u payload.Update, sourceType string) dire.Update {
	meta := u.Metadata
	return dire.Update{
		NativeID:     nativeID(meta, sourceType),
		MACs:         []string{u.MAC, meta[payload.MetaAllMACs]},
		IPs:          []string{u.IP, meta[payload.MetaPrimaryIP], meta[payload.MetaAllIPs]},
		Hostname:     u.Hostname,
		SerialNumber: meta[payload.MetaSerialNumber],
		Manufacturer: meta[payload.MetaManufacturer],
		Model:        meta[payload.MetaModel],
		OS:           meta[payload.MetaOperatingSystem],
		DeviceType:   meta[payload.MetaDeviceType],
		Site:         meta[payload.MetaSite],
		Tags:         words(meta[payload.MetaTags]),
		Available:    u.IsAvailable,
		Deleted:      deleted(u),
		SeenAt:       u.Timestamp,
		Metadata:     remaining(meta),
	}
}

// deleted tells whether an update says that its thing is gone.
func deleted(u payload.Update) bool {
	return strings.EqualFold(u.Metadata[payload.MetaDeleted], "true")
}

func nativeID(meta map[string]string, sourceType string) string {
	if id := strings.TrimSpace(meta[nativeKeys[sourceType]]); id != "" {
		return id
	}
	return strings.TrimSpace(meta[payload.MetaIntegrationID])
}

// words are the elements of a comma list.
func words(list string) []string {
	var words []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

func remaining(meta map[string]string) map[string]string {
	var kept map[string]string
	for key, value := range meta {
		if consumed[key] || value == "" {
			continue
		}
		if kept == nil {
			kept = make(map[string]string, len(meta))
		}
		kept[key] = value
	}
	return kept
}
