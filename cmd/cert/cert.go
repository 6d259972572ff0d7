// Package cert is the commands on certificates and authorities.
package cert

import (
	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
)

// NewCmdCert holds the verbs.
func NewCmdCert(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("cert", "List, inspect and renew identities, and replace authorities",
		NewCmdList(f, nil),
		NewCmdInspect(f, nil),
		NewCmdRenew(f, nil),
		NewCmdRotateCA(f, nil),
	)
}
