package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/serve"
	"edgesync/cmd/state"
	"edgesync/cmd/tui"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/syncrun"
	interfaces "edgesync/tui"
)

// stateDir is the platform's folder in the demo's directory.
const stateDir = "state"

// stage is a platform with its tenants, while the demo lasts.
type stage struct {
	opts  *Options
	dir   string
	log   *slog.Logger
	board *board
	// dashboard is shown instead of a summary; the sync services then go on.
	dashboard bool
}

// play sets everything up, lets every source be read once, and counts.
func (s *stage) play(ctx context.Context) (document, error) {
	if err := s.bootstrap(ctx); err != nil {
		return document{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	platform, err := serve.Start(ctx, serve.Config{
		StateDir: filepath.Join(s.dir, stateDir), Listen: "127.0.0.1:0", Logger: s.log, Now: s.opts.Now,
	})
	if err != nil {
		stop()
		return document{}, err
	}
	d, err := s.sync(ctx, platform)
	stop()
	return d, errors.Join(err, platform.Wait())
}

func (s *stage) bootstrap(ctx context.Context) error {
	connection, err := state.Connect(ctx, state.Options{
		Dir: filepath.Join(s.dir, stateDir), Create: true, Logger: s.log, Now: s.opts.Now,
	})
	if err != nil {
		return err
	}
	answer, err := connection.Client.Bootstrap(ctx, &adminv1.BootstrapRequest{})
	if err = errors.Join(err, connection.Close()); err != nil {
		return err
	}
	s.opts.IO.Tellf("bootstrapped a platform: tenant %s", answer.GetPlatform().GetPlatformTenantId())
	return nil
}

// sync makes the sites, runs their services once and counts what arrived.
func (s *stage) sync(ctx context.Context, platform *serve.Platform) (document, error) {
	ctx, stop := context.WithCancel(ctx)
	var servers errgroup.Group
	var sites []*site
	err := func() error {
		for n := range s.opts.Tenants {
			made, err := s.newSite(ctx, &servers, platform, n)
			if err != nil {
				return err
			}
			sites = append(sites, made)
		}
		if s.dashboard {
			return s.show(ctx, platform, sites)
		}
		return s.run(ctx, sites)
	}()
	var d document
	if err == nil && !s.dashboard {
		d, err = s.count(ctx, platform.Admin, sites)
	}
	stop()
	return d, errors.Join(err, servers.Wait())
}

// show runs the sites' sync services for as long as the operator looks.
func (s *stage) show(ctx context.Context, platform *serve.Platform, sites []*site) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	for _, one := range sites {
		group.Go(func() error {
			if err := one.runtime.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("run sync service of tenant %s: %w", one.tenant, err)
			}
			return nil
		})
	}
	err := tui.Take(ctx, s.opts.Factory, interfaces.Options{Client: platform.Admin, Out: s.dir})
	stop()
	return errors.Join(err, group.Wait())
}

// run runs the sites' sync services at once, and draws how they get on.
func (s *stage) run(ctx context.Context, sites []*site) error {
	s.opts.IO.Tellf("syncing %d sources of %d devices each over mTLS", len(s.board.rows), s.opts.Devices)
	progress := cmdutil.StartProgress(s.opts.Factory, "sync")
	defer progress.Keep()
	s.board.show(progress)
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range sites {
		group.Go(func() error {
			err := one.runtime.Run(ctx)
			var failed *syncrun.SourcesError
			if err != nil && !errors.As(err, &failed) { // A source that failed shows in the summary.
				return fmt.Errorf("run sync service of tenant %s: %w", one.tenant, err)
			}
			return nil
		})
	}
	return group.Wait()
}
