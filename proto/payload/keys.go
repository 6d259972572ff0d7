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
	switch key {
	case MetaDeleted:
		return keyDeleted
	case MetaAllIPs:
		return keyAllIPs
	case MetaAllMACs:
		return keyAllMACs
	case MetaArmisDeviceID:
		return keyArmisDeviceID
	case MetaCustomField:
		return keyCustomField
	case MetaDeviceType:
		return keyDeviceType
	case MetaIntegrationID:
		return keyIntegrationID
	case MetaIntegrationSourceID:
		return keyIntegrationSourceID
	case MetaIntegrationType:
		return keyIntegrationType
	case MetaManufacturer:
		return keyManufacturer
	case MetaModel:
		return keyModel
	case MetaNetBoxDeviceID:
		return keyNetBoxDeviceID
	case MetaOperatingSystem:
		return keyOperatingSystem
	case MetaPrimaryIP:
		return keyPrimaryIP
	case MetaQueryLabel:
		return keyQueryLabel
	case MetaSerialNumber:
		return keySerialNumber
	case MetaSite:
		return keySite
	case MetaTags:
		return keyTags
	}
	return -1
}
