package cmd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"edgesync/admin"
	"edgesync/certs"
	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
)

// dialRemote reaches a platform elsewhere with an operator's identity.
func dialRemote(ctx context.Context, f *cmdutil.Factory) (*admin.Client, error) {
	switch {
	case f.Identity == "":
		return nil, cmdutil.Usagef("missing --identity: --server takes the folder that `edgesync operator add` has written")
	case f.StateDirFlag != "":
		return nil, cmdutil.Usagef("--server and --state-dir are two platforms: name one")
	}
	if err := onboarding.ValidAddr(f.Server); err != nil {
		return nil, cmdutil.Usagef("--server: %w", err)
	}
	config, err := operatorTLS(f)
	if err != nil {
		return nil, err
	}
	if err := probe(ctx, f, config); err != nil {
		return nil, err
	}
	return admin.DialTLS(f.Server, config, admin.WithOrigin(cmp.Or(f.Origin, "cli")))
}

func operatorTLS(f *cmdutil.Factory) (*tls.Config, error) {
	identity, err := onboarding.LoadIdentity(onboarding.PathsIn(f.Identity))
	switch {
	case errors.Is(err, onboarding.ErrNotPrivate):
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	case err != nil:
		return nil, err
	}
	named, err := certs.ReadLeaf(identity.Chain[0])
	if err != nil {
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "use identity %s: %w", f.Identity, err)
	}
	if named.Type != certs.TypeOperator {
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "use identity %s: it is that of a %s, not of an operator: make one with `edgesync operator add`", f.Identity, named.Type)
	}
	if now := f.Now(); now.After(named.NotAfter) {
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "use identity %s: it ended on %s: have the operator added again", f.Identity, named.NotAfter.Format("2006-01-02"))
	}
	certificate := identity.TLSCertificate()
	config, err := certs.ClientTLS(certs.EncodePEM(identity.CAs...), func() *tls.Certificate { return certificate }, gatewayName(named.TrustDomain))
	if err != nil {
		return nil, fmt.Errorf("use identity %s: %w", f.Identity, err)
	}
	return config, nil
}

// probeTime is how long the platform may take to shake hands.
const probeTime = 10 * time.Second

// probe tells a platform that refuses the identity from one that is not reached:
// a client learns only from the first bytes after the handshake.
func probe(ctx context.Context, f *cmdutil.Factory, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", f.Server)
	var network *net.OpError
	switch {
	case errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded):
		return cmdutil.Errorf(cmdutil.ExitUnavailable, "reach platform at %s: %w: see that `edgesync serve --admin-listen` runs there", f.Server, err)
	case err != nil:
		return cmdutil.Errorf(cmdutil.ExitRefused, "trust platform at %s: %w: it is not the one identity %s is of", f.Server, err, f.Identity)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return cmdutil.Errorf(cmdutil.ExitRefused, "use identity %s: the platform at %s refuses it (%w): it was revoked or replaced: ask the platform's administrator", f.Identity, f.Server, err)
	}
	return nil
}

// gatewayName is what the certificate of every platform's servers answers to.
func gatewayName(trustDomain string) string { return "agent-gateway." + trustDomain }
