package cmd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"edgesync/admin"
	"edgesync/certs"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/renewal"
	"edgesync/onboarding"
)

// remote is a platform elsewhere, and the operator's identity that is used there
// and kept renewed meanwhile.
type remote struct {
	client *admin.Client
	stop   func()
}

func (r *remote) close() error {
	r.stop()
	return r.client.Close()
}

// dialRemote reaches a platform elsewhere with an operator's identity.
func dialRemote(ctx context.Context, f *cmdutil.Factory) (*remote, error) {
	switch {
	case f.Identity == "":
		return nil, cmdutil.Usagef("missing --identity: --server takes the folder that `edgesync operator add` has written")
	case f.StateDirFlag != "":
		return nil, cmdutil.Usagef("--server and --state-dir are two platforms: name one")
	case f.DatabaseFlag != "":
		return nil, cmdutil.Usagef("--server and --database are two platforms: name one")
	}
	if err := onboarding.ValidAddr(f.Server); err != nil {
		return nil, cmdutil.Usagef("--server: %w", err)
	}
	kept, named, err := operatorIdentity(ctx, f)
	if err != nil {
		return nil, err
	}
	config, err := kept.TLS(gatewayName(named.TrustDomain))
	if err != nil {
		return nil, fmt.Errorf("use identity %s: %w", f.Identity, err)
	}
	if err := probe(ctx, f, config); err != nil {
		return nil, err
	}
	client, err := admin.DialTLS(f.Server, config, admin.WithOrigin(cmp.Or(f.Origin, "cli")))
	if err != nil {
		return nil, err
	}
	// What takes longer than a certificate's life, such as a dashboard, goes on.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { defer close(ended); kept.Run(background) }()
	return &remote{client: client, stop: func() { cancel(); <-ended }}, nil
}

// operatorIdentity loads the operator's identity, renewed if that is due.
func operatorIdentity(ctx context.Context, f *cmdutil.Factory) (*renewal.Kept, certs.Identity, error) {
	paths := onboarding.PathsIn(f.Identity)
	held, err := onboarding.LoadIdentity(paths)
	switch {
	case errors.Is(err, onboarding.ErrNotPrivate):
		return nil, certs.Identity{}, cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, certs.Identity{}, cmdutil.Errorf(cmdutil.ExitNotFound, "use identity %s: %w: name the folder that `edgesync operator add` has written", f.Identity, err)
	case err != nil:
		return nil, certs.Identity{}, err
	}
	named, err := certs.ReadLeaf(held.Chain[0])
	if err != nil {
		return nil, named, cmdutil.Errorf(cmdutil.ExitRefused, "use identity %s: %w", f.Identity, err)
	}
	if named.Type != certs.TypeOperator {
		return nil, named, cmdutil.Errorf(cmdutil.ExitRefused, "use identity %s: it is that of a %s, not of an operator: make one with `edgesync operator add`", f.Identity, named.Type)
	}
	kept := renewal.Keep(paths, held, f.Now, nil)
	return kept, named, renewOperator(ctx, f, kept)
}

const (
	// renewTime is how long a command that is about something else waits for the
	// renewal of its identity.
	renewTime = 10 * time.Second
	// renewPause is how long after an attempt that failed others do not try again.
	renewPause = 10 * time.Minute
)

// renewOperator renews an identity that has reached two thirds of its life. While
// it is good a renewal that fails is only told.
func renewOperator(ctx context.Context, f *cmdutil.Factory, kept *renewal.Kept) error {
	end := kept.Certificate().Leaf.NotAfter
	ended := f.Now().After(end)
	if age := f.Now().Sub(onboarding.LastAttempt(f.Identity)); !ended && age >= 0 && age < renewPause {
		return nil
	}
	before := kept.Certificate()
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	err := kept.Check(ctx)
	if err != nil || kept.Certificate() != before {
		// Without it the next command just tries again.
		_ = onboarding.MarkAttempt(f.Identity, f.Now())
	}
	switch {
	case err == nil:
		return nil
	case ended:
		return cmdutil.Errorf(renewal.ExitCode(err), "use identity %s: it ended on %s: %w", f.Identity, end.UTC().Format(time.DateTime), err)
	}
	f.IO.Tellf("the identity in %s ends on %s and was not renewed: %v", f.Identity, end.UTC().Format(time.DateTime), err)
	return nil
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
