package inventory

import (
	"slices"
	"strings"
)

// product is one line of things a maker sells.
type product struct {
	category, kind string
	manufacturer   string
	models         []string
	systems        []string
	// ouis are the makers' 24 bits of a MAC: universally administered, unicast,
	// and none of those virtual router protocols use.
	ouis []uint32
	// serial and prefix begin serial numbers and names; no serial, no number.
	serial, prefix string
}

var (
	sites = []string{
		"Amsterdam", "Berlin", "Chicago", "Dublin", "Frankfurt", "Helsinki",
		"Lisbon", "Madrid", "Oslo", "Prague", "Toronto", "Vienna",
	}
	boundaries = []string{"Corporate", "Guest", "Production", "Clinical"}
	tags       = []string{"managed", "critical", "byod", "pci", "leased", "lab", "warranty-expired"}
)

// siteCode is how a site is written in a name.
func siteCode(site string) string {
	return strings.ToLower(site[:3])
}

// catalogue says what each kind of inventory is made of. Armis watches what
// talks on a network, NetBox documents what is racked and virtual.
var catalogue = [...][]product{
	Armis:        slices.Concat(endpoints, things),
	NetBoxDevice: racked,
	NetBoxVM:     virtual,
	Plain:        endpoints,
}

var endpoints = []product{
	{"Computers", "Laptop", "Dell", []string{"Latitude 5440", "Latitude 7430", "XPS 13 9315"},
		[]string{"Windows 11", "Windows 10", "Ubuntu 22.04"}, []uint32{0xf8bc12, 0xd4bed9, 0x001422}, "DL", "lap"},
	{"Computers", "Laptop", "Lenovo", []string{"ThinkPad T14", "ThinkPad X1 Carbon"},
		[]string{"Windows 11", "Fedora 40"}, []uint32{0x98fa9b, 0x54ee75}, "PF", "lap"},
	{"Computers", "Laptop", "Apple", []string{"MacBook Pro 14", "MacBook Air M2"},
		[]string{"macOS 14", "macOS 15"}, []uint32{0x3c0754, 0xf01898, 0xa483e7}, "C02", "mac"},
	{"Computers", "Desktop", "HP", []string{"EliteDesk 800 G6", "ProDesk 400 G7"},
		[]string{"Windows 10", "Windows 11"}, []uint32{0x3cd92b, 0x705a0f}, "CZC", "wks"},
	{"Handhelds", "Mobile Phone", "Samsung", []string{"Galaxy S23", "Galaxy A54"},
		[]string{"Android 14", "Android 13"}, []uint32{0x5c497d, 0x8c7712}, "R5C", "mob"},
	{"Imaging", "Printer", "Brother", []string{"HL-L6400DW", "MFC-L8900CDW"},
		[]string{"Embedded"}, []uint32{0x008077}, "U63", "prn"},
}

var things = []product{
	{"Physical Security", "IP Camera", "Axis Communications", []string{"P3245-LVE", "M3085-V"},
		[]string{"AXIS OS 11"}, []uint32{0x00408c, 0xaccc8e}, "ACC", "cam"},
	{"Medical", "Patient Monitor", "Philips", []string{"IntelliVue MX450", "IntelliVue MX800"},
		[]string{"VxWorks"}, []uint32{0x0009fb}, "DE", "mon"},
	{"Manufacturing Equipment", "PLC", "Siemens", []string{"SIMATIC S7-1500", "SIMATIC S7-1200"},
		[]string{"SIMATIC Firmware 2.9"}, []uint32{0x001b1b, 0x080006}, "SC", "plc"},
	{"Manufacturing Equipment", "PLC", "Rockwell Automation", []string{"ControlLogix 5580", "CompactLogix 5380"},
		[]string{"Logix Firmware 33"}, []uint32{0x0000bc, 0xf45433}, "RA", "plc"},
	{"Automations", "Building Controller", "Honeywell", []string{"WEB-8000", "Spyder"},
		[]string{"Niagara 4"}, []uint32{0x004084}, "HW", "bms"},
	{"Handhelds", "Barcode Scanner", "Zebra Technologies", []string{"TC57", "MC3300"},
		[]string{"Android 11"}, []uint32{0x00a0f8}, "ZB", "scn"},
	{"Network Equipment", "Access Point", "Ubiquiti", []string{"U6 Pro", "U6 Lite"},
		[]string{"UniFi 6.6"}, []uint32{0x24a43c}, "UB", "wap"},
}

var racked = []product{
	{"Network Equipment", "Access Switch", "Cisco", []string{"Catalyst 9300-48P", "Catalyst 9200L-24P"},
		[]string{"IOS-XE 17.9"}, []uint32{0x001b54, 0x00260b}, "FCW", "asw"},
	{"Network Equipment", "Core Switch", "Arista", []string{"DCS-7050SX3", "DCS-7280SR3"},
		[]string{"EOS 4.30"}, []uint32{0x001c73, 0x444ca8}, "JPE", "csw"},
	{"Network Equipment", "Router", "Juniper", []string{"MX204", "SRX345"},
		[]string{"Junos 22.4"}, []uint32{0x000585, 0x2c6bf5}, "JN", "rtr"},
	{"Network Equipment", "Firewall", "Palo Alto Networks", []string{"PA-3420", "PA-460"},
		[]string{"PAN-OS 11.0"}, []uint32{0x001b17, 0xb40c25}, "PA", "fwl"},
	{"Network Equipment", "Firewall", "Fortinet", []string{"FortiGate 100F", "FortiGate 60F"},
		[]string{"FortiOS 7.4"}, []uint32{0x00090f, 0x906cac}, "FG", "fwl"},
	{"Computers", "Server", "Dell", []string{"PowerEdge R650", "PowerEdge R750"},
		[]string{"VMware ESXi 8.0", "Red Hat Enterprise Linux 9"}, []uint32{0xb083fe, 0x001422}, "DS", "srv"},
	{"Computers", "Server", "HPE", []string{"ProLiant DL360 Gen10", "ProLiant DL380 Gen11"},
		[]string{"VMware ESXi 8.0", "Windows Server 2022"}, []uint32{0x941882}, "CZJ", "srv"},
	{"Computers", "Server", "Supermicro", []string{"SYS-1029P", "AS-1114S"},
		[]string{"Debian 12", "Ubuntu 22.04"}, []uint32{0x002590, 0xac1f6b}, "SM", "srv"},
}

var virtual = []product{
	{"Virtual", "Application Server", "VMware", []string{"Virtual Machine"},
		[]string{"Ubuntu 22.04", "Debian 12", "Windows Server 2022"}, []uint32{0x005056}, "", "app"},
	{"Virtual", "Database Server", "VMware", []string{"Virtual Machine"},
		[]string{"Red Hat Enterprise Linux 9", "Debian 12"}, []uint32{0x005056}, "", "dbs"},
	{"Virtual", "Web Server", "Proxmox", []string{"Virtual Machine"},
		[]string{"Debian 12", "Alpine 3.19"}, []uint32{0xbc2411}, "", "web"},
}
