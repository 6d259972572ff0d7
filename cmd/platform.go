package cmd

import (
	"context"
	"log/slog"

	"edgesync/admin"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
)

// platform is the platform one command works on, connected when it first asks.
type platform struct {
	factory    *cmdutil.Factory
	connection *state.Connection
	remote     *admin.Client
}

func (p *platform) connect(ctx context.Context) (adminv1.AdminClient, error) {
	if p.factory.Server == "" {
		return p.open(ctx, state.Options{})
	}
	if p.remote == nil {
		var err error
		if p.remote, err = dialRemote(ctx, p.factory); err != nil {
			return nil, err
		}
	}
	return p.remote, nil
}

func (p *platform) create(ctx context.Context, keysetFile string) (adminv1.AdminClient, error) {
	if p.factory.Server != "" {
		return nil, cmdutil.Usagef("--server: a platform is made on its own machine: run this there")
	}
	return p.open(ctx, state.Options{Create: true, KeysetFile: keysetFile})
}

func (p *platform) open(ctx context.Context, opts state.Options) (adminv1.AdminClient, error) {
	if p.connection != nil {
		return p.connection.Client, nil
	}
	var err error
	if opts.Dir, err = p.factory.StateDir(); err != nil {
		return nil, err
	}
	told, err := p.factory.Database()
	if err != nil {
		return nil, err
	}
	if err := opts.Told(told); err != nil {
		return nil, err
	}
	// What goes well is told by the command itself.
	opts.Logger, opts.Now, opts.Origin = p.factory.Logger(slog.LevelError), p.factory.Now, p.factory.Origin
	if p.connection, err = state.Connect(ctx, opts); err != nil {
		return nil, err
	}
	return p.connection.Client, nil
}

func (p *platform) local() bool { return p.connection != nil && p.connection.Local }

func (p *platform) close() error {
	if p.remote != nil {
		return p.remote.Close()
	}
	if p.connection == nil {
		return nil
	}
	return p.connection.Close()
}
