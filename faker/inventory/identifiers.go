package inventory

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// slot numbers every identifier a seed can hold: 2 bits of kind, 20 of index
// (2^20 is above MaxDevices) and 1 telling the first from the second. Numbers
// that must not collide are permutations of slots.
func slot(kind Kind, index, port int) uint32 {
	return uint32(kind)<<21 | uint32(index)<<1 | uint32(port)
}

// Salts keep the permutations and hashes of one seed apart.
const (
	saltTraits = iota + 1
	saltMAC
	saltSerial
	saltAddress
)

func (inv Inventory) key(salt uint64) uint64 {
	return mix(inv.seed ^ salt)
}

// macs gives a device its addresses under its maker's OUI. The 24 bits below
// the OUI are a permutation of the slot, so they alone are unique in the seed.
func (inv Inventory) macs(kind Kind, index int, oui uint32, two bool) []string {
	ports := 1
	if two {
		ports = 2
	}
	macs := make([]string, ports)
	for port := range macs {
		nic := permute(inv.key(saltMAC), slot(kind, index, port), 12)
		macs[port] = fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x",
			byte(oui>>16), byte(oui>>8), byte(oui), byte(nic>>16), byte(nic>>8), byte(nic))
	}
	return macs
}

// serialDigits leaves out letters that are read as digits.
const serialDigits = "0123456789ABCDEFGHJKLMNPQRSTUVWX"

// serial is seven characters, unique in the seed whatever stands before them.
func (inv Inventory) serial(kind Kind, index int) string {
	value := permute(inv.key(saltSerial), slot(kind, index, 0), 16)
	var text [7]byte
	for i := range text {
		text[i] = serialDigits[value%32]
		value /= 32
	}
	return string(text[:])
}

// hosts is how many addresses 10.0.0.0/8 has whose last octet is neither 0 nor
// 255; each epoch moves every device churnStep slots on among them.
const (
	hosts     = 1 << 16 * 254
	churnStep = 14
)

// addresses are distinct within an epoch because the shift by the epoch and the
// permutation are both one to one, and differ from every other epoch's (for the
// first million epochs) because the shift does. A step of 14 slots, seven
// devices, hands nearly every address to another device of the inventory: the
// churn that tempts a reader to take the address for the device.
func (inv Inventory) addresses(kind Kind, index int, epoch uint64, two bool) []netip.Addr {
	list := []netip.Addr{inv.ipv4(slot(kind, index, 0), epoch)}
	switch {
	case !two:
	case kind == NetBoxDevice || kind == NetBoxVM || index%4 == 0:
		list = append(list, inv.ipv6(slot(kind, index, 1), epoch))
	default:
		list = append(list, inv.ipv4(slot(kind, index, 1), epoch))
	}
	return list
}

// host is the number of an address in an epoch, below hosts.
func (inv Inventory) host(slot uint32, epoch uint64) uint32 {
	value := uint32((uint64(slot) + epoch%hosts*churnStep) % hosts)
	key := inv.key(saltAddress)
	// A number outside the hosts is permuted again until it falls inside: still one to one.
	for {
		value = permute(key, value, 12)
		if value < hosts {
			return value
		}
	}
}

func (inv Inventory) ipv4(slot uint32, epoch uint64) netip.Addr {
	host := inv.host(slot, epoch)
	subnet := host / 254
	return netip.AddrFrom4([4]byte{10, byte(subnet >> 8), byte(subnet), byte(host%254) + 1})
}

// ipv6 addresses are of a unique local prefix (RFC 4193) of the seed's own.
func (inv Inventory) ipv6(slot uint32, epoch uint64) netip.Addr {
	host := inv.host(slot, epoch)
	var bytes [16]byte
	binary.BigEndian.PutUint64(bytes[:8], mix(inv.seed)&0x00ffffffffff0000|0xfd00000000000000|uint64(host>>16))
	binary.BigEndian.PutUint64(bytes[8:], uint64(host)+1)
	return netip.AddrFrom16(bytes)
}

// permute maps the numbers of 2*half bits one to one onto themselves, in an
// order the key decides: a Feistel network of six rounds.
func permute(key uint64, value uint32, half uint) uint32 {
	mask := uint32(1)<<half - 1
	left, right := value>>half&mask, value&mask
	for round := range uint64(6) {
		left, right = right, left^uint32(mix(key+round<<56+uint64(right)))&mask
	}
	return left<<half | right
}

// mix is the finaliser of splitmix64: every bit of the input moves about half
// the bits of the output.
func mix(value uint64) uint64 {
	value += 0x9e3779b97f4a7c15
	value = (value ^ value>>30) * 0xbf58476d1ce4e5b9
	value = (value ^ value>>27) * 0x94d049bb133111eb
	return value ^ value>>31
}

// traits hands out the random choices that make a device what it is.
type traits struct {
	state uint64
}

func (inv Inventory) traits(kind Kind, index int) *traits {
	return &traits{state: mix(inv.key(saltTraits) + uint64(slot(kind, index, 0)))}
}

func (t *traits) take() uint64 {
	t.state = mix(t.state)
	return t.state
}

func pick[T any](list []T, choice uint64) T {
	return list[choice%uint64(len(list))]
}

// subset takes none to two neighbours of list.
func subset(list []string, choice uint64) []string {
	count := int(choice % 3)
	start := int(choice / 3 % uint64(len(list)))
	taken := make([]string, count)
	for i := range taken {
		taken[i] = list[(start+i)%len(list)]
	}
	return taken
}
