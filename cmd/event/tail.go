package event

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/cmd/cmdutil"
)

// TailOptions are the flags of event tail.
type TailOptions struct {
	*cmdutil.Factory
	FilterFlags
}

// NewCmdTail makes event tail.
func NewCmdTail(f *cmdutil.Factory, runF func(context.Context, *TailOptions) error) *cobra.Command {
	opts := &TailOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow events as they are recorded, until interrupted",
		Long: `Follow events as they are recorded, until interrupted.

With --output json or ocsf each event is one line.`,
		Annotations: hasOCSF,
		Example: `  edgesync event tail --since 1h
  edgesync event tail --tenant acme --type source. --since 1h -o json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmdutil.Run(cmd, opts, runF, tailRun)
		},
	}
	opts.add(cmd)
	return cmd
}

func tailRun(ctx context.Context, opts *TailOptions) error {
	request, err := opts.request(opts.Now())
	if err != nil {
		return err
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	stream, err := client.TailEvents(ctx, request)
	if err != nil {
		return err
	}
	for {
		e, err := stream.Recv()
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), status.Code(err) == codes.Canceled:
			return cmdutil.Errorf(cmdutil.ExitUnavailable, "follow events: the platform stopped serving: start `edgesync serve` and try again")
		case err != nil:
			return err
		}
		if opts.Format == cmdutil.FormatOCSF {
			err = printOCSF(opts.IO, e)
		} else {
			err = printEvent(opts, newDocument(e))
		}
		if err != nil {
			return err
		}
	}
}

func printEvent(opts *TailOptions, d document) error {
	if !opts.Format.Human() {
		return cmdutil.PrintLine(opts.IO, opts.Format, d)
	}
	line := cmdutil.Neutralise(fmt.Sprintf("%s  %-12s %-7s  %-28s  %-20s  %s",
		cmdutil.Date(d.Time), d.Tenant, d.Severity, d.Type, d.Actor, d.Message))
	_, err := fmt.Fprintln(opts.IO.Out, opts.IO.Paint(cmdutil.StateStyle(d.Severity), line))
	return err
}
