package cert

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"edgesync/certs"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/renewal"
	"edgesync/onboarding"
)

// installedDir is where an edge package puts its identity.
const installedDir = "/etc/edgesync/certs"

// RenewOptions are the arguments of cert renew.
type RenewOptions struct {
	*cmdutil.Factory
	Dir string
}

// NewCmdRenew makes cert renew.
func NewCmdRenew(f *cmdutil.Factory, runF func(context.Context, *RenewOptions) error) *cobra.Command {
	opts := &RenewOptions{Factory: f}
	return &cobra.Command{
		Use:   "renew [DIR]",
		Short: "Renew the identity in a folder now, with a new key",
		Long: `Renew the identity in a folder now, with a new key: a sync service's or an operator's.

DIR is the folder of the identity, or of the edge package it is in (default ` + installedDir + `). Nobody has to do this by
hand: a sync service renews its identity while it runs, an operator's is renewed by the commands that use it. It is for
one that is to end earlier than it would, and for one that has ended: for 7 days its key is proof enough. A service that
runs goes on, and takes the new identity within a minute. The certificate before the last is refused from then on.`,
		Example: `  sudo edgesync cert renew
  edgesync cert renew ./alice`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return cmdutil.Args("DIR")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.Dir = installedDir; len(args) == 1 {
				opts.Dir = args[0]
			}
			return cmdutil.Run(cmd, opts, runF, renewRun)
		},
	}
}

// renewed is an identity that was renewed, as scripts read it.
type renewed struct {
	Identity       string    `json:"identity"`
	Who            string    `json:"who"`
	Serial         string    `json:"serial"`
	ReplacedSerial string    `json:"replaced_serial"`
	NotAfter       time.Time `json:"not_after"`
}

func renewRun(ctx context.Context, opts *RenewOptions) error {
	paths := onboarding.FindIdentity(opts.Dir)
	before, after, err := renewal.Now(ctx, paths, opts.Now)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cmdutil.Errorf(cmdutil.ExitNotFound, "renew identity in %s: %w: name the folder of an identity", opts.Dir, err)
	case errors.Is(err, onboarding.ErrNotPrivate):
		return cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	case err != nil:
		return cmdutil.Errorf(renewal.ExitCode(err), "%w", err)
	}
	named, err := certs.ReadLeaf(after.Chain[0])
	if err != nil {
		return fmt.Errorf("read renewed certificate: %w", err)
	}
	dir, err := filepath.Abs(paths.Dir)
	if err != nil {
		return err
	}
	document := renewed{
		Identity: dir, Who: named.SPIFFE(), Serial: named.Serial,
		ReplacedSerial: before.Chain[0].SerialNumber.String(), NotAfter: named.NotAfter.UTC(),
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, document, "renewed the identity of %s; it is good until %s", named.SPIFFE(), cmdutil.Date(&document.NotAfter))
}
