package cmd

import (
	"context"
	"log/slog"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
)

// platform is the platform one command works on, connected when it first asks.
type platform struct {
	factory    *cmdutil.Factory
	connection *state.Connection
}

func (p *platform) connect(ctx context.Context) (adminv1.AdminClient, error) {
	return p.open(ctx, state.Options{})
}

func (p *platform) create(ctx context.Context, keysetFile string) (adminv1.AdminClient, error) {
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
	if opts.Database, err = state.Database(p.factory.Database()); err != nil {
		return nil, err
	}
	// What goes well is told by the command itself.
	opts.Logger, opts.Now = p.factory.Logger(slog.LevelError), p.factory.Now
	if p.connection, err = state.Connect(ctx, opts); err != nil {
		return nil, err
	}
	return p.connection.Client, nil
}

func (p *platform) close() error {
	if p.connection == nil {
		return nil
	}
	return p.connection.Close()
}
