package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/event/export"
	"edgesync/cmd/event/ocsf"
	adminv1 "edgesync/proto/admin/v1"
)

// ExportOptions are the flags of event export.
type ExportOptions struct {
	*cmdutil.Factory
	To         string
	Tenant     string
	Cursor     string
	Follow     bool
	RotateSize cmdutil.Size
	Keep       int
}

// NewCmdExport makes event export.
func NewCmdExport(f *cmdutil.Factory, runF func(context.Context, *ExportOptions) error) *cobra.Command {
	opts := &ExportOptions{Factory: f, RotateSize: 100 << 20}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Bring events to a file or a syslog server, each once",
		Long: `Bring events to a file or a syslog server, as OCSF JSON, and go on another time where this one stopped.

A file gets a line for each event and is rotated. In whatever moment the command ends, or somebody else rotates the
file, no event is missing and none is there twice. To syslog events go as RFC 5424 has them, over TCP, TLS or a local
socket. There nothing says that they arrived, so what was sent in the last seconds before a connection broke is sent
again: metadata.uid tells which are the same.

With --follow it goes on with events as they are recorded, until interrupted, and waits for a platform or a server that
is away. An operator of one tenant exports that tenant's.`,
		Example: `  edgesync event export --to events.json
  edgesync event export --to followed.json --follow --rotate-size 100M --keep 10
  edgesync event export --to syslog://logs.example.com:514 --cursor syslog.cursor --follow`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, exportRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.To, "to", "", "file, or syslog://HOST:PORT, syslog+tls://HOST:PORT, syslog+unix:///PATH")
	flags.StringVarP(&opts.Tenant, "tenant", "t", "", "only this tenant's (default: all tenants)")
	flags.StringVar(&opts.Cursor, "cursor", "", "file that remembers how far it came (default: that of --to, with .cursor behind it)")
	flags.BoolVar(&opts.Follow, "follow", false, "go on with events as they are recorded")
	flags.Var(&opts.RotateSize, "rotate-size", "size at which a file is rotated; 0 for never")
	flags.IntVar(&opts.Keep, "keep", 10, "how many rotated files are kept")
	return cmd
}

// toFile tells that events go to a file.
func (opts *ExportOptions) toFile() bool {
	return !strings.HasPrefix(opts.To, "syslog:") && !strings.HasPrefix(opts.To, "syslog+")
}

// check says what is wrong with the flags.
func (opts *ExportOptions) check() error {
	switch {
	case opts.To == "":
		return cmdutil.Missing("to")
	case opts.Keep < 0 || opts.RotateSize < 0:
		return cmdutil.Usagef("--keep and --rotate-size: want numbers that are not negative")
	case opts.Cursor == "" && !opts.toFile():
		return cmdutil.Usagef("missing --cursor: a syslog server does not tell what it has: name a file that does")
	}
	return nil
}

// sink opens where the events go.
func (opts *ExportOptions) sink() (export.Sink, error) {
	if opts.toFile() {
		path, err := filepath.Abs(opts.To)
		if err != nil {
			return nil, err
		}
		cursor := opts.Cursor
		if cursor == "" {
			cursor = path + ".cursor"
		}
		return export.OpenFile(export.FileOptions{Path: path, Cursor: cursor, MaxBytes: int64(opts.RotateSize), Keep: opts.Keep})
	}
	sink, err := export.OpenSyslog(export.SyslogOptions{URL: opts.To, Cursor: opts.Cursor, Now: opts.Now})
	if err != nil {
		return nil, cmdutil.Usagef("--to: %w", err)
	}
	return sink, nil
}

func exportRun(ctx context.Context, opts *ExportOptions) (err error) {
	if err := opts.check(); err != nil {
		return err
	}
	// Nothing is made for events that are not there.
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	if opts.Tenant != "" {
		if _, err := client.GetTenant(ctx, &adminv1.GetTenantRequest{Slug: opts.Tenant}); err != nil {
			return err
		}
	}
	sink, err := opts.sink()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	count := 0
	if opts.Follow {
		err = followExport(ctx, opts, client, sink, &count)
	} else {
		err = exportOnce(ctx, opts, client, sink, &count)
	}
	if err == nil && !opts.Follow {
		opts.IO.Tellf("%s exported to %s", cmdutil.Plural(int64(count), "event"), opts.To)
	}
	return err
}

// sinkError is what went wrong where events go to, not where they come from.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

// exportOnce brings over what there is, or with --follow what comes until the
// stream ends.
func exportOnce(ctx context.Context, opts *ExportOptions, client adminv1.AdminClient, sink export.Sink, count *int) error {
	request := &adminv1.ExportEventsRequest{Tenant: opts.Tenant, Follow: opts.Follow}
	for tenant, sequence := range sink.Positions() {
		request.After = append(request.After, &adminv1.EventPosition{TenantId: tenant, Sequence: sequence})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.ExportEvents(ctx, request)
	if err != nil {
		return err
	}
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		records := make([]export.Record, 0, len(page.GetEvents()))
		for _, e := range page.GetEvents() {
			record, err := newRecord(e)
			if err != nil {
				return err
			}
			records = append(records, record)
		}
		if err := sink.Write(records); err != nil {
			return sinkError{err}
		}
		*count += len(records)
	}
}

func newRecord(e *adminv1.ExportedEvent) (export.Record, error) {
	line, err := ocsf.Of(e.GetEvent(), e.GetSequence()).JSON()
	if err != nil {
		return export.Record{}, fmt.Errorf("write event %s: %w", e.GetEvent().GetId(), err)
	}
	return export.Record{
		Tenant: e.GetEvent().GetTenantId(), Sequence: e.GetSequence(), Type: e.GetEvent().GetType(),
		Severity: e.GetEvent().GetSeverity(), UnixMilli: e.GetEvent().GetTime().AsTime().UnixMilli(), JSON: line,
	}, nil
}

// exportPause is the longest pause before a platform or a server that is away is
// tried again.
const exportPause = 30 * time.Second

// followExport goes on until ctx ends. What is away is waited for; what is wrong
// for good ends it.
func followExport(ctx context.Context, opts *ExportOptions, client adminv1.AdminClient, sink export.Sink, count *int) error {
	opts.IO.Tellf("events are exported to %s until interrupted", opts.To)
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = 100*time.Millisecond, exportPause
	told := false
	for {
		before := *count
		err := exportOnce(ctx, opts, client, sink, count)
		if ctx.Err() != nil {
			return nil
		}
		var atSink sinkError
		if err != nil && !errors.As(err, &atSink) && !away(err) {
			return err
		}
		if _, file := sink.(*export.File); file && errors.As(err, &atSink) {
			return err
		}
		if *count > before {
			pace.Reset()
			told = false
		}
		if err != nil && !told {
			told = true
			opts.IO.Tellf("%s: trying again", cmdutil.ErrorLine(err))
		}
		timer := time.NewTimer(pace.NextBackOff())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// away tells a platform that is not there at the moment.
func away(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Aborted:
		return true
	}
	return false
}
