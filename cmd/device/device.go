// Package device is the commands on canonical devices.
package device

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdDevice holds the verbs.
func NewCmdDevice(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("device", "List, show, trace, merge and split canonical devices",
		NewCmdList(f, nil),
		NewCmdShow(f, nil),
		NewCmdTrace(f, nil),
		NewCmdDuplicates(f, nil),
		NewCmdMerge(f, nil),
		NewCmdUnmerge(f, nil),
		NewCmdSplit(f, nil),
	)
}

// document is a device as scripts read it.
type document struct {
	ID              string     `json:"id"`
	Tenant          string     `json:"tenant"`
	TenantID        string     `json:"tenant_id"`
	Partition       string     `json:"partition"`
	IP              string     `json:"ip"`
	MAC             string     `json:"mac"`
	Hostname        string     `json:"hostname"`
	IPs             []string   `json:"ips"`
	MACs            []string   `json:"macs"`
	Sources         []string   `json:"sources"`
	FirstSeen       *time.Time `json:"first_seen"`
	LastSeen        *time.Time `json:"last_seen"`
	Available       bool       `json:"available"`
	State           string     `json:"state"`
	SerialNumber    string     `json:"serial_number"`
	Manufacturer    string     `json:"manufacturer"`
	Model           string     `json:"model"`
	OperatingSystem string     `json:"operating_system"`
	DeviceType      string     `json:"device_type"`
	Site            string     `json:"site"`
	Tags            []string   `json:"tags"`
}

func newDocument(d *adminv1.Device) document {
	return document{
		ID: d.GetId(), Tenant: d.GetTenant(), TenantID: d.GetTenantId(), Partition: d.GetPartition(),
		IP: d.GetIp(), MAC: d.GetMac(), Hostname: d.GetHostname(),
		IPs: cmdutil.List(d.GetIps()), MACs: cmdutil.List(d.GetMacs()), Sources: cmdutil.List(d.GetSources()),
		FirstSeen: cmdutil.Time(d.GetFirstSeen()), LastSeen: cmdutil.Time(d.GetLastSeen()),
		Available: d.GetAvailable(), State: d.GetState(), SerialNumber: d.GetSerialNumber(),
		Manufacturer: d.GetManufacturer(), Model: d.GetModel(), OperatingSystem: d.GetOperatingSystem(),
		DeviceType: d.GetDeviceType(), Site: d.GetSite(), Tags: cmdutil.List(d.GetTags()),
	}
}

func listColumns(now time.Time) []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "TENANT", Value: func(d document) string { return d.Tenant }},
		{Title: "IP", Value: func(d document) string { return d.IP }},
		{Title: "MAC", Value: func(d document) string { return d.MAC }},
		{Title: "HOSTNAME", Value: func(d document) string { return d.Hostname }},
		{Title: "SOURCES", Value: func(d document) string { return strings.Join(d.Sources, ", ") }},
		{Title: "PARTITION", Value: func(d document) string { return d.Partition }},
		{Title: "STATE", Value: func(d document) string { return d.State },
			Style: func(d document) string { return cmdutil.StateStyle(d.State) }},
		{Title: "AVAILABLE", Value: func(d document) string { return cmdutil.YesNo(d.Available) }},
		{Title: "LAST SEEN", Value: func(d document) string { return cmdutil.Ago(d.LastSeen, now) }},
		{Title: "ID", Value: func(d document) string { return d.ID }},
	}
}
