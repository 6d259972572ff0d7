package source

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// ShowOptions are the flags of source show.
type ShowOptions struct {
	*cmdutil.Factory
	Source string
	Tenant string
}

// NewCmdShow makes source show.
func NewCmdShow(f *cmdutil.Factory, runF func(context.Context, *ShowOptions) error) *cobra.Command {
	opts := &ShowOptions{Factory: f}
	cmd := &cobra.Command{
		Use:     "show SOURCE",
		Short:   "Show an integration source, by name or id; its credentials by key only",
		Example: "  edgesync source show hq-armis --tenant acme",
		Args:    cmdutil.Args("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source = args[0]
			return cmdutil.Run(cmd, opts, runF, showRun)
		},
	}
	addTenantFlag(cmd, &opts.Tenant)
	return cmd
}

func showRun(ctx context.Context, opts *ShowOptions) error {
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	found, err := find(ctx, client, opts.Tenant, opts.Source)
	if err != nil {
		return err
	}
	runs, err := client.ListRuns(ctx, &adminv1.ListRunsRequest{Tenant: found.GetTenant(), Source: found.GetId(), Limit: shownRuns})
	if err != nil {
		return err
	}
	shown := detail{document: newDocument(found), Runs: make([]run, 0, len(runs.GetRuns()))}
	for _, r := range runs.GetRuns() {
		shown.Runs = append(shown.Runs, newRun(r))
	}
	if !opts.Format.Human() {
		return cmdutil.PrintDocument(opts.IO, opts.Format, shown)
	}
	if err := cmdutil.PrintOne(opts.IO, opts.Format, showColumns(opts.Now()), shown.document); err != nil || len(shown.Runs) == 0 {
		return err
	}
	fmt.Fprintln(opts.IO.Out)
	return cmdutil.PrintList(opts.IO, opts.Format, runColumns(opts.Now()), shown.Runs)
}

// shownRuns is how many runs of a source are shown, the latest.
const shownRuns = 5

// detail is a source with its latest runs.
type detail struct {
	document
	Runs []run `json:"runs"`
}

// run is a run as scripts read it.
type run struct {
	ID          string     `json:"id"`
	TraceID     string     `json:"trace_id"`
	Mode        string     `json:"mode"`
	StartedAt   *time.Time `json:"started_at"`
	FinishedAt  *time.Time `json:"finished_at"`
	StoredAt    *time.Time `json:"stored_at"`
	Result      string     `json:"result"`
	Stage       string     `json:"stage"`
	Error       string     `json:"error"`
	Devices     int64      `json:"devices"`
	Received    int64      `json:"received"`
	Complete    bool       `json:"complete"`
	Chunks      int32      `json:"chunks"`
	TotalChunks int32      `json:"total_chunks"`
}

func newRun(r *adminv1.Run) run {
	return run{
		ID: r.GetId(), TraceID: r.GetTraceId(), Mode: r.GetMode(), StartedAt: cmdutil.Time(r.GetStartedAt()),
		FinishedAt: cmdutil.Time(r.GetFinishedAt()), StoredAt: cmdutil.Time(r.GetStoredAt()), Result: r.GetResult(),
		Stage: r.GetStage(), Error: r.GetError(), Devices: r.GetDevices(), Received: r.GetReceived(),
		Complete: r.GetComplete(), Chunks: r.GetChunks(), TotalChunks: r.GetTotalChunks(),
	}
}

func runColumns(now time.Time) []cmdutil.Column[run] {
	return []cmdutil.Column[run]{
		{Title: "STARTED", Value: func(r run) string { return cmdutil.Ago(r.StartedAt, now) }},
		{Title: "RESULT", Value: func(r run) string { return cmp.Or(r.Result, "under way") },
			Style: func(r run) string { return cmdutil.StateStyle(r.Result) }},
		{Title: "DEVICES", Value: func(r run) string { return strconv.FormatInt(r.Devices, 10) }},
		{Title: "CHUNKS", Value: func(r run) string { return fmt.Sprintf("%d/%d", r.Chunks, r.TotalChunks) }},
		{Title: "RUN", Value: func(r run) string { return r.ID }},
		{Title: "TRACE", Value: func(r run) string { return r.TraceID }},
		{Title: "ERROR", Value: func(r run) string { return r.Error }},
	}
}
