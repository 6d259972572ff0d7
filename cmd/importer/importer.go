// Package importer is the command that makes sources of the configuration of a
// sync service of the key-value era, whose sources stood in its own file. It reads
// names that other programs wrote, and knows nothing of how they worked.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/source"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// Options are the flags of import.
type Options struct {
	*cmdutil.Factory
	Path        string
	Tenant      string
	Service     string
	Credentials []string
	Out         string
	DryRun      bool
}

// defaultService is what a service is called whose file does not say.
const defaultService = "sync"

// NewCmdImport makes import.
func NewCmdImport(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	cmd := &cobra.Command{
		Use:   "import FILE --tenant T",
		Short: "Make sources of the sync.json of a sync service that was configured by key-value store",
		Long: `Make sources of the sync.json of a sync service that was configured by key-value store, and say what of it is not
carried. Either every source of the file is there afterwards or, while one is refused, none was made; run again it
changes nothing.

The sources are given to the sync service --service names, or else to that of the file's agent_id. One the tenant does
not have is made, and a join token for it written to --out: enrol it on the host of the old one (edgesync enroll), and
switch that off. A credential that stands in the key-value store only is given with --credential.`,
		Example: `  edgesync import sync.json --tenant acme --credential old-netbox.api_token=@/run/secrets/armis --dry-run
  edgesync import sync.json --tenant acme --credential old-netbox.api_token=@/run/secrets/armis --service hq-sync`,
		Args: cmdutil.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Path = args[0]
			return cmdutil.Run(cmd, opts, runF, importRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "slug of the tenant")
	flags.StringVar(&opts.Service, "service", "", "sync service that is to run the sources (default: the file's agent_id)")
	flags.StringArrayVar(&opts.Credentials, "credential", nil, "credential of a source that the file does not hold: `SOURCE.KEY=@FILE` or SOURCE.KEY=env:NAME; may be repeated")
	flags.StringVar(&opts.Out, "out", ".", "directory for the join token of a service that is made")
	flags.BoolVar(&opts.DryRun, "dry-run", false, "say what would be done, and change nothing")
	return cmd
}

// document is an import as scripts read it.
type document struct {
	Tenant  string `json:"tenant"`
	Service string `json:"service"`
	// ServiceCreated is true for one that was made, or would be.
	ServiceCreated bool         `json:"service_created"`
	JoinToken      string       `json:"join_token,omitempty"`
	DryRun         bool         `json:"dry_run"`
	Sources        []outcome    `json:"sources"`
	NotCarried     []notCarried `json:"not_carried"`
}

type outcome struct {
	Name       string `json:"name"`
	SourceType string `json:"source_type"`
	// Result is "created", "unchanged", "refused", or "left out" for one that could
	// be made and was not, because another is refused.
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
}

type notCarried struct {
	// Source is empty for a setting of the service.
	Source  string `json:"source"`
	Setting string `json:"setting"`
	Reason  string `json:"reason"`
}

func importRun(ctx context.Context, opts *Options) error {
	if err := opts.Require(&opts.Tenant, "tenant", "Tenant"); err != nil {
		return err
	}
	found, err := opts.read()
	if err != nil {
		return err
	}
	if err := opts.complete(&found); err != nil {
		return err
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	d := document{Tenant: opts.Tenant, DryRun: opts.DryRun, NotCarried: notCarriedOf(found)}
	if d.Service, d.ServiceCreated, err = opts.service(ctx, client, found); err != nil {
		return err
	}
	// Nothing is made before it is known that all of it can be.
	asked := d.Service
	if d.ServiceCreated {
		asked = ""
	}
	if err := opts.importSources(ctx, client, &d, found, asked, true); err != nil {
		return err
	}
	if refused := d.refused(); refused > 0 {
		d.ServiceCreated = false
		d.leaveOut()
		return errors.Join(opts.report(d), cmdutil.Errorf(cmdutil.ExitUsage, "import %s: %d of %s refused: nothing was changed", opts.Path, refused, cmdutil.Plural(int64(len(d.Sources)), "source")))
	}
	if opts.DryRun {
		return opts.report(d)
	}
	if d.ServiceCreated {
		made, err := onboarding.Onboard(ctx, client, onboarding.Answers{Tenant: opts.Tenant, Name: d.Service, Mode: onboarding.ModeToken, Out: opts.Out})
		if err != nil {
			return err
		}
		d.JoinToken = made.Path
	}
	if err := opts.importSources(ctx, client, &d, found, d.Service, false); err != nil {
		return err
	}
	if refused := d.refused(); refused > 0 {
		d.leaveOut()
		return errors.Join(opts.report(d), cmdutil.Errorf(cmdutil.ExitConflict, "import %s: %d of %s refused, since something was changed meanwhile: run it again", opts.Path, refused, cmdutil.Plural(int64(len(d.Sources)), "source")))
	}
	return opts.report(d)
}

func (o *Options) read() (legacy, error) {
	file, err := os.Open(o.Path)
	if err != nil {
		return legacy{}, fmt.Errorf("import %s: %w", o.Path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return legacy{}, fmt.Errorf("import %s: %w", o.Path, err)
	}
	found, err := parse(data)
	if err != nil {
		return legacy{}, cmdutil.Errorf(cmdutil.ExitUsage, "import %s: %w", o.Path, err)
	}
	return found, nil
}

// complete adds the credentials that were given beside the file.
func (o *Options) complete(found *legacy) error {
	bySource := map[string][]string{}
	for _, flag := range o.Credentials {
		name, rest, _ := strings.Cut(flag, "=")
		at := strings.LastIndex(name, ".")
		if at < 0 || rest == "" {
			return cmdutil.Usagef("--credential: want SOURCE.KEY=@FILE or SOURCE.KEY=env:NAME: a value is never an argument")
		}
		if !slices.ContainsFunc(found.entries, func(e entry) bool { return e.name == name[:at] }) {
			return cmdutil.Usagef("--credential %s: the file has no source %q", name, name[:at])
		}
		bySource[name[:at]] = append(bySource[name[:at]], flag[at+1:])
	}
	for i := range found.entries {
		e := &found.entries[i]
		given, err := source.ReadCredentials(o.Factory, bySource[e.name])
		if err != nil {
			return err
		}
		for key, value := range given {
			e.credentials[key] = value
			delete(e.missing, key)
		}
		for _, key := range slices.Sorted(maps.Keys(e.missing)) {
			e.problems = append(e.problems, fmt.Sprintf("its credential %s stands in %s: give it with --credential %s.%s=@FILE", key, e.missing[key], e.name, key))
		}
	}
	return nil
}

// service is what the sources are given to, and whether it is yet to be made.
func (o *Options) service(ctx context.Context, client adminv1.AdminClient, found legacy) (name string, missing bool, err error) {
	name = o.Service
	if name == "" {
		name = found.agent
	}
	if name == "" {
		name = defaultService
	}
	answer, err := client.ListServices(ctx, &adminv1.ListServicesRequest{Tenant: o.Tenant, Available: true})
	if err != nil {
		return "", false, err
	}
	for _, service := range answer.GetServices() {
		if service.GetName() == name || service.GetComponentId() == name || service.GetId() == name {
			return service.GetName(), false, nil
		}
	}
	return name, true, nil
}

// importSources asks for all sources that can be read, and fills in what became of
// each.
func (o *Options) importSources(ctx context.Context, client adminv1.AdminClient, d *document, found legacy, service string, dry bool) error {
	request := &adminv1.ImportSourcesRequest{Tenant: o.Tenant, Service: service, DryRun: dry}
	d.Sources = nil
	for _, e := range found.entries {
		if len(e.problems) == 0 {
			request.Sources = append(request.Sources, e.message())
		}
	}
	var outcomes []*adminv1.ImportOutcome
	if len(request.Sources) > 0 {
		answer, err := client.ImportSources(ctx, request)
		if err != nil {
			return err
		}
		outcomes = answer.GetOutcomes()
	}
	for _, e := range found.entries {
		one := outcome{Name: e.name, SourceType: e.kind, Result: "refused", Reason: strings.Join(e.problems, "; ")}
		if len(e.problems) == 0 && len(outcomes) > 0 {
			one.Result, one.Reason = outcomes[0].GetResult(), outcomes[0].GetReason()
			outcomes = outcomes[1:]
		}
		d.Sources = append(d.Sources, one)
	}
	return nil
}

// message is the source as the platform takes it.
func (e entry) message() *adminv1.ImportedSource {
	spec := &adminv1.SourceSpec{
		Name: e.name, SourceType: e.kind, Endpoint: e.endpoint, Partition: e.partition, NetworkBlacklist: e.blacklist,
		PollInterval: interval(e.poll), DiscoveryInterval: interval(e.discovery), SweepInterval: interval(e.sweep),
		PageSize: int32(e.pageSize), BatchSize: int32(e.batchSize), CustomField: e.customField, InsecureSkipVerify: e.insecure,
	}
	for _, query := range e.queries {
		spec.Queries = append(spec.Queries, &adminv1.Query{Label: query.Label, Query: query.Query, SweepModes: query.SweepModes})
	}
	return &adminv1.ImportedSource{Spec: spec, Credentials: e.credentials}
}

func interval(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func notCarriedOf(found legacy) []notCarried {
	list := []notCarried{}
	for _, d := range found.dropped {
		list = append(list, notCarried{"", d.setting, d.reason})
	}
	for _, e := range found.entries {
		for _, d := range e.dropped {
			list = append(list, notCarried{e.name, d.setting, d.reason})
		}
	}
	return list
}

func (d document) refused() (n int) {
	for _, one := range d.Sources {
		if one.Result == "refused" {
			n++
		}
	}
	return n
}

// leaveOut says of what could be made that it was not.
func (d document) leaveOut() {
	for i := range d.Sources {
		if d.Sources[i].Result == "created" {
			d.Sources[i].Result = "left out"
		}
	}
}

// report says what became of each source, and what was not carried.
func (o *Options) report(d document) error {
	if !o.Format.Human() {
		return cmdutil.PrintDocument(o.IO, o.Format, d)
	}
	for _, one := range d.Sources {
		if one.Result == "refused" {
			o.IO.Tellf("refused %s: %s", one.Name, one.Reason)
		}
	}
	for _, one := range d.NotCarried {
		where := "the service"
		if one.Source != "" {
			where = "source " + one.Source
		}
		o.IO.Tellf("not carried: %s of %s: %s", one.Setting, where, one.Reason)
	}
	err := cmdutil.PrintList(o.IO, o.Format, []cmdutil.Column[outcome]{
		{Title: "SOURCE", Value: func(d outcome) string { return d.Name }},
		{Title: "TYPE", Value: func(d outcome) string { return d.SourceType }},
		{Title: "RESULT", Value: func(one outcome) string {
			return map[bool]string{true: "would be "}[d.DryRun && d.refused() == 0] + one.Result
		}},
	}, d.Sources)
	switch {
	case err != nil:
	case d.ServiceCreated && d.DryRun:
		o.IO.Tellf("sync service %s of tenant %s would be made, with a join token for its host", d.Service, d.Tenant)
	case d.ServiceCreated:
		o.IO.Tellf("sync service %s of tenant %s was made; enrol it on its host: edgesync enroll --token-file %s", d.Service, d.Tenant, d.JoinToken)
	}
	return err
}
