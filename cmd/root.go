package cmd

import (
	"bufio"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/backup"
	"edgesync/cmd/bootstrap"
	"edgesync/cmd/cert"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/demo"
	"edgesync/cmd/device"
	"edgesync/cmd/dire"
	"edgesync/cmd/doctor"
	"edgesync/cmd/enroll"
	"edgesync/cmd/event"
	"edgesync/cmd/faker"
	"edgesync/cmd/importer"
	"edgesync/cmd/man"
	"edgesync/cmd/onboard"
	"edgesync/cmd/operator"
	"edgesync/cmd/run"
	"edgesync/cmd/serve"
	"edgesync/cmd/service"
	"edgesync/cmd/source"
	"edgesync/cmd/store"
	"edgesync/cmd/tenant"
	"edgesync/cmd/tui"
	"edgesync/cmd/version"
)

// NewRoot makes the tree of commands.
func NewRoot(f *cmdutil.Factory) *cobra.Command {
	root := cmdutil.NewGroup("edgesync", "Sync device inventories to a platform of many tenants")
	root.Long = `Sync device inventories to a platform of many tenants.

On a platform: bootstrap, tenant create, onboard, serve. On an edge host: enroll, run. Exit codes: 0 done, 1 failed,
2 wrong usage, 3 not found, 4 refused, 5 unavailable, 6 conflict.`
	root.Example = `  edgesync demo --no-input
  edgesync bootstrap --gateway-addr gateway.example.com:50052
  edgesync tenant create acme
  edgesync device list --tenant acme -o json`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(f.IO.Out)
	root.SetErr(f.IO.Err)
	root.SetIn(f.IO.In)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cmdutil.Usagef("%w: usage is `%s`", err, cmd.UseLine())
	})
	f.AddPersistentFlags(root)
	root.AddCommand(
		bootstrap.NewCmdBootstrap(f, nil),
		serve.NewCmdServe(f, nil),
		tenant.NewCmdTenant(f),
		onboard.NewCmdOnboard(f, nil),
		enroll.NewCmdEnroll(f, nil),
		run.NewCmdRun(f, nil),
		service.NewCmdService(f),
		source.NewCmdSource(f),
		importer.NewCmdImport(f, nil),
		device.NewCmdDevice(f),
		dire.NewCmdDire(f),
		event.NewCmdEvent(f),
		store.NewCmdStore(f),
		backup.NewCmdBackup(f, nil),
		backup.NewCmdRestore(f, nil),
		tui.NewCmdTUI(f, nil),
		cert.NewCmdCert(f),
		operator.NewCmdOperator(f),
		doctor.NewCmdDoctor(f, nil),
		faker.NewCmdFaker(f, nil),
		demo.NewCmdDemo(f, nil),
		version.NewCmdVersion(f, nil),
		man.NewCmdMan(f, version.Current().Time, nil),
	)
	plain := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if tui.Here(f) {
			return tui.Open(cmd.Context(), f)
		}
		return plain(cmd, args)
	}
	addCompletion(root)
	addHelp(root)
	return root
}

// WriteReference writes a Markdown page for every command into dir.
func WriteReference(dir string) error {
	nothing := func(string) (string, bool) { return "", false }
	streams := &cmdutil.IOStreams{In: bufio.NewReader(strings.NewReader("")), Out: io.Discard, Err: io.Discard}
	return man.WriteMarkdown(NewRoot(&cmdutil.Factory{IO: streams, Env: nothing, Now: time.Now}), dir)
}
