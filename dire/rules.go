package dire

import "strings"

// Rules are the parts of the engine that are lists. The zero value knows no
// junk; DefaultRules is what a platform runs on.
type Rules struct {
	// JunkSerials and JunkManufacturers hold the letters and digits, in lower
	// case, of values that name no thing: what a board leaves its maker with when
	// nobody filled the field in.
	JunkSerials       map[string]bool
	JunkManufacturers map[string]bool
	// IgnoredMACs are the beginnings of MACs, in canonical spelling, that link
	// nobody. IgnoreSerials leaves all serial numbers out.
	IgnoredMACs   []string
	IgnoreSerials bool
}

// DefaultRules returns the rules with the placeholders known from SMBIOS tables
// and inventories.
func DefaultRules() Rules {
	return Rules{
		JunkSerials: set(
			"0", "00", "01234567", "0123456789", "012345678", "0123456789ab", "0123456789abcdef",
			"1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "123456789012345678",
			"9876543210", "na", "none", "null", "nil", "unknown", "undefined", "unspecified", "invalid", "empty",
			"default", "defaultstring", "serial", "serialnumber", "serialno", "systemserialnumber", "systemserial",
			"chassisserialnumber", "baseboardserialnumber", "boardserialnumber", "mbserialnumber", "machineserialnumber",
			"tobefilledbyoem", "tobefilledbyoems", "filledbyoem", "oem", "oemstring", "notapplicable", "notspecified",
			"notavailable", "notprovided", "notset", "nosn", "noserial", "noserialnumber", "sernum", "sn", "snunknown",
			"test", "todo", "tbd", "xyz", "abcdefgh", "system", "chassis", "standard", "virtual", "vmware", "qemu",
			"kvm", "xen", "hyperv", "virtualbox", "bochs", "parallels", "replaceme", "insertserialhere", "eval",
			"genericserial", "asset1234567890", "chassisserial", "emptyserial", "deleted",
		),
		JunkManufacturers: set(
			"na", "none", "null", "unknown", "undefined", "unspecified", "invalid", "default", "defaultstring",
			"manufacturer", "systemmanufacturer", "chassismanufacturer", "boardmanufacturer", "tobefilledbyoem",
			"tobefilledbyoems", "filledbyoem", "oem", "oemstring", "notapplicable", "notspecified", "notavailable",
			"generic", "other", "test",
		),
	}
}

func set(values ...string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[v] = true
	}
	return m
}

// Identifiers returns what the facts can be recognised by, in the order MACs,
// serial, addresses, and whether their assertion is strong: known by a native or
// a hardware id.
func (r Rules) Identifiers(f *Facts) (ids []Identifier, strong bool) {
	ids = r.appendIdentifiers(make([]Identifier, 0, len(f.MACs)+len(f.IPs)+1), f)
	return ids, isStrong(f, ids)
}

func (r Rules) appendIdentifiers(ids []Identifier, f *Facts) []Identifier {
	first := len(ids)
	for _, mac := range f.MACs {
		if classOf(mac) == macGlobal && !r.ignored(mac) {
			ids = append(ids, Identifier{IdentifierMAC, mac})
		}
	}
	if serial := r.serial(f.Manufacturer, f.SerialNumber); serial != "" && !r.IgnoreSerials {
		ids = append(ids, Identifier{IdentifierSerial, serial})
	}
	kind := IdentifierIP
	if f.NativeID == "" && len(ids) == first {
		kind = IdentifierWeakIP
	}
	for _, ip := range f.IPs {
		if identifies(ip) {
			ids = append(ids, Identifier{kind, ip})
		}
	}
	return ids
}

func (r Rules) ignored(mac string) bool {
	for _, prefix := range r.IgnoredMACs {
		if strings.HasPrefix(mac, prefix) {
			return true
		}
	}
	return false
}

// MACPrefix spells a MAC, or the first octets of one, as Rules.IgnoredMACs does.
func MACPrefix(value string) (prefix string, ok bool) {
	digits := strings.NewReplacer(":", "", "-", "", ".", "").Replace(strings.ToLower(value))
	if len(digits) < 2 || len(digits) > 12 || len(digits)%2 > 0 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", false
	}
	mac, _ := parseMAC(digits + strings.Repeat("0", 12-len(digits)))
	return formatMAC(mac, "")[:len(digits)/2*3-1], true
}

// CanonicalMAC spells a MAC as Facts do; false for what is none.
func CanonicalMAC(value string) (string, bool) {
	mac, ok := parseMAC(strings.TrimSpace(value))
	if !ok {
		return "", false
	}
	return formatMAC(mac, ""), true
}

// JunkSpelling is how the lists of junk spell a value.
func JunkSpelling(value string) string { return string(letters(nil, value)) }

// isStrong tells whether facts with these identifiers are of level 1 or 2:
// hardware ids come first.
func isStrong(f *Facts, ids []Identifier) bool {
	return f.NativeID != "" || len(ids) > 0 && hardware(ids[0].Kind)
}

func hardware(kind IdentifierKind) bool {
	return kind == IdentifierMAC || kind == IdentifierSerial
}
