package payload

// The keys of metadata that adapters use, in the order of their bytes. What has
// another key is written as well, only not as fast.
const (
	keyDeleted = iota
	keyAllIPs
	keyAllMACs
	keyArmisDeviceID
	keyCustomField
	keyDeviceType
	keyIntegrationID
	keyIntegrationSourceID
	keyIntegrationType
	keyManufacturer
	keyModel
	keyNetBoxDeviceID
	keyOperatingSystem
	keyPrimaryIP
	keyQueryLabel
	keySerialNumber
	keySite
	keyTags
	knownCount
)

// knownKeys are the keys, each with its JSON up to the quote before the value.
var knownKeys = [knownCount]struct{ key, quoted string }{
	keyDeleted:             {MetaDeleted, `"` + MetaDeleted + `":"`},
	keyAllIPs:              {MetaAllIPs, `"` + MetaAllIPs + `":"`},
	keyAllMACs:             {MetaAllMACs, `"` + MetaAllMACs + `":"`},
	keyArmisDeviceID:       {MetaArmisDeviceID, `"` + MetaArmisDeviceID + `":"`},
	keyCustomField:         {MetaCustomField, `"` + MetaCustomField + `":"`},
	keyDeviceType:          {MetaDeviceType, `"` + MetaDeviceType + `":"`},
	keyIntegrationID:       {MetaIntegrationID, `"` + MetaIntegrationID + `":"`},
	keyIntegrationSourceID: {MetaIntegrationSourceID, `"` + MetaIntegrationSourceID + `":"`},
	keyIntegrationType:     {MetaIntegrationType, `"` + MetaIntegrationType + `":"`},
	keyManufacturer:        {MetaManufacturer, `"` + MetaManufacturer + `":"`},
	keyModel:               {MetaModel, `"` + MetaModel + `":"`},
	keyNetBoxDeviceID:      {MetaNetBoxDeviceID, `"` + MetaNetBoxDeviceID + `":"`},
	keyOperatingSystem:     {MetaOperatingSystem, `"` + MetaOperatingSystem + `":"`},
	keyPrimaryIP:           {MetaPrimaryIP, `"` + MetaPrimaryIP + `":"`},
	keyQueryLabel:          {MetaQueryLabel, `"` + MetaQueryLabel + `":"`},
	keySerialNumber:        {MetaSerialNumber, `"` + MetaSerialNumber + `":"`},
	keySite:                {MetaSite, `"` + MetaSite + `":"`},
	keyTags:                {MetaTags, `"` + MetaTags + `":"`},
}

// rank is a key's place among the known ones, or -1.
func rank(key string) int {
	if key == "" {
		return -1
	}
	if i := int(ranks.places[ranks.hash(key)]) - 1; i >= 0 && knownKeys[i].key == key {
		return i
	}
	return -1
}

// ranks finds a key's place by its length and three of its letters, which no two of the known
// keys share: a key of metadata is looked up some ten times for each device.
var ranks = newRanks()

type rankTable struct {
	factor uint32
	// places are one more than the rank, as many as hash has values.
	places [64]uint8
}

func (r *rankTable) hash(key string) uint32 {
	mixed := uint32(len(key)) | uint32(key[0])<<8 | uint32(key[len(key)/2])<<16 | uint32(key[len(key)-1])<<24
	return mixed * r.factor >> 26
}

// newRanks looks for a factor by which no two keys meet.
func newRanks() *rankTable {
	r := &rankTable{}
next:
	for r.factor = 0x9E3779B1; r.factor > 1; r.factor -= 2 {
		r.places = [64]uint8{}
		for i := range knownKeys {
			place := &r.places[r.hash(knownKeys[i].key)]
			if *place != 0 {
				continue next
			}
			*place = uint8(i + 1)
		}
		return r
	}
	panic("two keys of metadata are alike in length and letters")
}
