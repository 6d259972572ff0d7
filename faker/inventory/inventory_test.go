package inventory_test

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"edgesync/faker/inventory"
)

var kinds = []inventory.Kind{inventory.Armis, inventory.NetBoxDevice, inventory.NetBoxVM, inventory.Plain}

// each visits count devices of every kind.
func each(inv inventory.Inventory, count int, epoch uint64, visit func(inventory.Device)) {
	for _, kind := range kinds {
		for index := range count {
			visit(inv.Device(kind, index, epoch))
		}
	}
}

func TestDeviceIsAFunctionOfSeedKindIndexAndEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		index := rapid.IntRange(0, inventory.MaxDevices-1).Draw(t, "index")
		epoch := rapid.Uint64().Draw(t, "epoch")
		first := inventory.New(seed).Device(kind, index, epoch)
		if again := inventory.New(seed).Device(kind, index, epoch); !reflect.DeepEqual(first, again) {
			t.Fatalf("the same device twice: %+v and %+v", first, again)
		}
		if n := len(first.Addresses); n < 1 || n > 2 || !first.Addresses[0].Is4() {
			t.Fatalf("addresses %v", first.Addresses)
		}
		if n := len(first.MACs); n < 1 || n > 2 {
			t.Fatalf("MACs %v", first.MACs)
		}
	})
}

func TestIdentifiersAreUniqueWithinASeed(t *testing.T) {
	for _, seed := range []uint64{0, 1 << 63} {
		seen := map[string]inventory.Device{}
		claim := func(what string, device inventory.Device) {
			if other, taken := seen[what]; taken {
				t.Fatalf("seed %d: %s belongs to %+v and %+v", seed, what, other, device)
			}
			seen[what] = device
		}
		each(inventory.New(seed), 20_000, 3, func(device inventory.Device) {
			claim(device.Name, device)
			for _, mac := range device.MACs {
				claim(mac, device)
				// Unique below the OUI too, so no choice of OUIs can collide.
				claim(mac[8:], device)
			}
			for _, addr := range device.Addresses {
				claim(addr.String(), device)
			}
			if device.Kind != inventory.NetBoxVM {
				claim(device.Serial, device)
				claim(device.Serial[len(device.Serial)-7:], device)
			}
		})
	}
}

func TestMACsAreGloballyUniqueUnicastAndNoVirtualRouters(t *testing.T) {
	virtual := []string{"00:00:5e", "00:00:0c:07:ac", "00:00:0c:9f:f", "00:05:73:a0", "00:07:b4"}
	each(inventory.New(7), 20_000, 0, func(device inventory.Device) {
		for _, text := range device.MACs {
			mac, err := net.ParseMAC(text)
			if err != nil || len(mac) != 6 || mac[0]&0b11 != 0 || mac.String() != text {
				t.Fatalf("MAC %q of %s: %v", text, device.Name, err)
			}
			for _, prefix := range virtual {
				if strings.HasPrefix(text, prefix) {
					t.Fatalf("MAC %q is a virtual router's", text)
				}
			}
		}
	})
}

func TestEpochMovesEveryAddressAndNothingElse(t *testing.T) {
	inv := inventory.New(42)
	const count = 2_000
	for _, kind := range kinds {
		owner := map[netip.Addr]int{}
		for index := range count {
			owner[inv.Device(kind, index, 0).Addresses[0]] = index
		}
		inherited := 0
		for index := range count {
			before, after := inv.Device(kind, index, 0), inv.Device(kind, index, 1)
			for i, addr := range before.Addresses {
				if after.Addresses[i] == addr {
					t.Fatalf("%s kept %s", before.Name, addr)
				}
			}
			if former, taken := owner[after.Addresses[0]]; taken && former != index {
				inherited++
			}
			before.Addresses, after.Addresses = nil, nil
			if !reflect.DeepEqual(before, after) {
				t.Fatalf("the epoch changed more than addresses: %+v and %+v", before, after)
			}
		}
		if inherited < count*9/10 {
			t.Errorf("kind %d: only %d of %d devices got another's former address", kind, inherited, count)
		}
	}
}

func TestTheLastDeviceOfAKindExistsAndTheNextDoesNot(t *testing.T) {
	inv := inventory.New(1)
	inv.Device(inventory.Plain, inventory.MaxDevices-1, 1<<40)
	defer func() {
		if recover() == nil {
			t.Error("a device past the last was made up")
		}
	}()
	inv.Device(inventory.Plain, inventory.MaxDevices, 0)
}

func TestSplitNetBoxLosesNothing(t *testing.T) {
	for _, total := range []int{0, 1, 4, 5, 5_000, inventory.MaxDevices} {
		if devices, vms := inventory.SplitNetBox(total); devices+vms != total || devices < vms {
			t.Errorf("%d splits into %d and %d", total, devices, vms)
		}
	}
}

func BenchmarkDevice(b *testing.B) {
	inv := inventory.New(1)
	b.ReportAllocs()
	index := 0
	for b.Loop() {
		inv.Device(inventory.Armis, index, 5)
		index = (index + 1) % inventory.MaxDevices
	}
}
