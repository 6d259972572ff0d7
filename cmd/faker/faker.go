// Package faker is the command that serves invented inventories as Armis and
// NetBox do.
package faker

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	"edgesync/faker"
)

const (
	defaultListen  = "127.0.0.1:8480"
	defaultDevices = 5000
)

// Options are the flags of faker.
type Options struct {
	*cmdutil.Factory
	Listen     string
	Armis      int
	NetBox     int
	Seed       uint64
	ChurnEvery time.Duration
	Faults     []string
}

// NewCmdFaker makes faker.
func NewCmdFaker(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "faker",
		Short: "Serve invented inventories over HTTP as Armis and NetBox do",
		Long: `Serve invented inventories over HTTP as Armis and NetBox do, until interrupted.

Both are at the same endpoint. What the seed decides stays the same from start to start. Faults are ` +
			strings.Join(faker.FaultNames(), ", ") + `; those that hit a page hit every page, or with =N every Nth.`,
		Example: `  edgesync faker --armis 20000 --netbox 8000 --churn-every 10m
  edgesync faker --listen 127.0.0.1:0 -o json --fault status=503/10 --fault latency=200ms`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.NoPlatform("it works without a platform"); err != nil {
				return err
			}
			return cmdutil.Run(cmd, opts, runF, fakerRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Listen, "listen", defaultListen, "address to listen on")
	flags.IntVar(&opts.Armis, "armis", defaultDevices, "how many devices Armis has")
	flags.IntVar(&opts.NetBox, "netbox", defaultDevices, "how many devices and virtual machines NetBox has together")
	flags.Uint64Var(&opts.Seed, "seed", 1, "what decides every device")
	flags.DurationVar(&opts.ChurnEvery, "churn-every", 0, "how often every device changes its addresses (default: never)")
	flags.StringArrayVar(&opts.Faults, "fault", nil, "misbehave, as `NAME[=VALUE]`; may be repeated")
	return cmd
}

// document says where the inventories are and what a reader of each must find.
type document struct {
	Endpoint string         `json:"endpoint"`
	Armis    armisDocument  `json:"armis"`
	NetBox   netboxDocument `json:"netbox"`
}

type armisDocument struct {
	Devices   int    `json:"devices"`
	SecretKey string `json:"secret_key"`
}

type netboxDocument struct {
	Devices         int    `json:"devices"`
	VirtualMachines int    `json:"virtual_machines"`
	APIToken        string `json:"api_token"`
}

func fakerRun(ctx context.Context, opts *Options) error {
	faults, err := faker.ParseFaults(opts.Faults)
	if err != nil {
		return cmdutil.Usagef("%w", err)
	}
	server, err := faker.New(faker.Options{
		Armis: opts.Armis, NetBox: opts.NetBox, Seed: opts.Seed, ChurnEvery: opts.ChurnEvery, Faults: faults, Now: opts.Now,
	})
	if err != nil {
		return cmdutil.Usagef("%w", err)
	}
	listener, err := cmdutil.Listen(ctx, "faker", opts.Listen)
	if err != nil {
		return err
	}
	if err := announce(opts, server.Counts(), listener.Addr()); err != nil {
		return err
	}
	return cmdutil.ServeHTTP(ctx, listener, server)
}

func announce(opts *Options, counts faker.Counts, addr net.Addr) error {
	d := document{
		Endpoint: "http://" + addr.String(),
		Armis:    armisDocument{Devices: counts.Armis, SecretKey: faker.DemoSecret},
		NetBox:   netboxDocument{Devices: counts.NetBoxDevices, VirtualMachines: counts.NetBoxVMs, APIToken: faker.DemoToken},
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "endpoint", Value: func(d document) string { return d.Endpoint }},
		{Title: "Armis", Value: func(d document) string {
			return strconv.Itoa(d.Armis.Devices) + " devices, secret_key " + d.Armis.SecretKey
		}},
		{Title: "NetBox", Value: func(d document) string {
			return strconv.Itoa(d.NetBox.Devices) + " devices and " + strconv.Itoa(d.NetBox.VirtualMachines) +
				" virtual machines, api_token " + d.NetBox.APIToken
		}},
	}, d)
}
