package cmd

import (
	"context"
	"errors"
	"log/slog"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/state"
	adminv1 "edgesync/proto/admin/v1"
)

// platform is the platform one command works on, connected when it first asks.
type platform struct {
	factory *cmdutil.Factory
	// connection is to a platform that is being made, visitor to one there is.
	connection *state.Connection
	visitor    *state.Visitor
	remote     *remote
}

func (p *platform) connect(ctx context.Context) (adminv1.AdminClient, error) {
	switch {
	case p.factory.Server != "":
		return p.dial(ctx)
	case p.factory.Identity != "":
		return nil, cmdutil.Usagef("missing --server: --identity is for a platform elsewhere")
	case p.connection != nil:
		return p.connection.Client, nil
	case p.visitor == nil:
		opts, err := p.options()
		if err != nil {
			return nil, err
		}
		if p.visitor, err = state.Visit(ctx, opts); err != nil {
			return nil, err
		}
	}
	return p.visitor.Client(), nil
}

func (p *platform) dial(ctx context.Context) (adminv1.AdminClient, error) {
	if p.remote == nil {
		var err error
		if p.remote, err = dialRemote(ctx, p.factory); err != nil {
			return nil, err
		}
	}
	return p.remote.client, nil
}

func (p *platform) create(ctx context.Context, keysetFile string) (adminv1.AdminClient, error) {
	if err := p.factory.OnlyHere("a platform is made"); err != nil {
		return nil, err
	}
	if p.connection == nil {
		opts, err := p.options()
		if err != nil {
			return nil, err
		}
		opts.Create, opts.KeysetFile = true, keysetFile
		if p.connection, err = state.Connect(ctx, opts); err != nil {
			return nil, err
		}
	}
	return p.connection.Client, nil
}

func (p *platform) options() (opts state.Options, err error) {
	if opts.Dir, err = p.factory.StateDir(); err != nil {
		return opts, err
	}
	told, err := p.factory.Database()
	if err != nil {
		return opts, err
	}
	if err := opts.Told(told); err != nil {
		return opts, err
	}
	// What goes well is told by the command itself.
	opts.Logger, opts.Now, opts.Origin = p.factory.Logger(slog.LevelError), p.factory.Now, p.factory.Origin
	return opts, nil
}

func (p *platform) local() bool { return p.visitor != nil && p.visitor.Local() }

func (p *platform) close() error {
	var err error
	if p.remote != nil {
		err = p.remote.close()
	}
	if p.visitor != nil {
		err = errors.Join(err, p.visitor.Close())
	}
	if p.connection != nil {
		err = errors.Join(err, p.connection.Close())
	}
	return err
}
