package cert

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgesync/certs"
	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
)

// maxFile is far above what a chain of certificates needs.
const maxFile = 1 << 20

// InspectOptions are the arguments of cert inspect.
type InspectOptions struct {
	*cmdutil.Factory
	Path string
}

// NewCmdInspect makes cert inspect.
func NewCmdInspect(f *cmdutil.Factory, runF func(context.Context, *InspectOptions) error) *cobra.Command {
	opts := &InspectOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "inspect FILE|DIR",
		Short: "Say in words who a certificate is, who issued it, and what it may do",
		Long: `Say in words who a certificate is, who issued it, and what it may do.

FILE holds PEM certificates; - is the standard input. DIR is an identity's folder, or that of the edge package it is in:
its certificate is shown, and what lies beside it shows who issued it. Whether the platform still accepts it, only the platform knows: see cert list.`,
		Example: `  edgesync cert inspect /etc/edgesync/certs
  edgesync cert inspect - < edge-package-hq-sync/certs/ca-chain.pem`,
		Args: cmdutil.Args("FILE|DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Path = args[0]
			return cmdutil.Run(cmd, opts, runF, inspectRun)
		},
	}
	return cmd
}

// explained is a certificate in words, as scripts read it.
type explained struct {
	Who         string    `json:"who"`
	Issuer      string    `json:"issuer"`
	May         []string  `json:"may"`
	Problems    []string  `json:"problems"`
	Serial      string    `json:"serial"`
	Key         string    `json:"key"`
	KeyID       string    `json:"key_id"`
	IssuerKeyID string    `json:"issuer_key_id"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"fingerprint"`
}

func inspectRun(_ context.Context, opts *InspectOptions) error {
	shown, beside, err := readCertificates(opts)
	if err != nil {
		return err
	}
	documents := make([]explained, 0, len(shown))
	for _, c := range shown {
		documents = append(documents, explain(c, beside, opts.Now()))
	}
	if !opts.Format.Human() {
		return cmdutil.PrintList(opts.IO, opts.Format, fields(), documents)
	}
	for i, document := range documents {
		if i > 0 {
			if _, err := fmt.Fprintln(opts.IO.Out); err != nil {
				return err
			}
		}
		if err := cmdutil.PrintOne(opts.IO, opts.Format, fields(), document); err != nil {
			return err
		}
	}
	return nil
}

// readCertificates are those to be shown, and all that may show their issuers.
func readCertificates(opts *InspectOptions) (shown, beside []*x509.Certificate, err error) {
	if opts.Path == "-" {
		shown, err = parse(opts.IO.In, "standard input")
		return shown, shown, err
	}
	info, err := os.Stat(opts.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("inspect certificate: %w", err)
	}
	if !info.IsDir() {
		shown, err = open(opts.Path)
		return shown, shown, err
	}
	paths := onboarding.FindIdentity(opts.Path)
	chain, err := open(paths.Cert)
	if err != nil {
		return nil, nil, err
	}
	authorities, err := open(paths.CA)
	if err != nil {
		return nil, nil, err
	}
	return chain[:1], slices.Concat(chain, authorities), nil
}

func open(path string) ([]*x509.Certificate, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("inspect certificate: %w", err)
	}
	defer func() { _ = file.Close() }()
	return parse(file, path)
}

func parse(in io.Reader, name string) ([]*x509.Certificate, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("inspect certificate: read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, cmdutil.Errorf(cmdutil.ExitFailed, "inspect certificate: %s is larger than %d bytes: it is no certificate", name, maxFile)
	}
	found, err := certs.DecodePEM(data)
	if err != nil {
		return nil, cmdutil.Errorf(cmdutil.ExitFailed, "inspect certificate: %s: %w", name, err)
	}
	return found, nil
}

func explain(c *x509.Certificate, beside []*x509.Certificate, now time.Time) explained {
	e := certs.Explain(c, beside, now)
	return explained{
		Who: e.Who, Issuer: e.Issuer, May: cmdutil.List(e.May), Problems: cmdutil.List(e.Problems), Serial: e.Serial,
		Key: certs.KeyWords(c), KeyID: e.KeyID, IssuerKeyID: e.AuthorID, NotBefore: e.NotBefore.UTC(), NotAfter: e.NotAft.UTC(), Fingerprint: e.Fingerprint,
	}
}

func fields() []cmdutil.Column[explained] {
	return []cmdutil.Column[explained]{
		{Title: "who", Value: func(e explained) string { return e.Who }},
		{Title: "issued by", Value: func(e explained) string { return e.Issuer }},
		{Title: "may", Value: func(e explained) string { return strings.Join(e.May, "; ") }},
		{Title: "problems", Value: func(e explained) string { return strings.Join(e.Problems, "; ") }},
		{Title: "valid", Value: func(e explained) string { return cmdutil.Date(&e.NotBefore) + " to " + cmdutil.Date(&e.NotAfter) }},
		{Title: "serial", Value: func(e explained) string { return e.Serial }},
		{Title: "key", Value: func(e explained) string { return e.Key }},
		{Title: "fingerprint", Value: func(e explained) string { return e.Fingerprint }},
	}
}
