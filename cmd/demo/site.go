package demo

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/cmd/run"
	"edgesync/cmd/serve"
	"edgesync/faker"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
)

// slugs name the first tenants; further ones are numbered.
var slugs = []string{"acme", "globex", "initech", "umbrella"}

// sources are what every site reads: the name, its kind and its credential.
var sources = []struct{ name, kind, credential, secret string }{
	{"armis", payload.TypeArmis, payload.CredentialSecretKey, faker.DemoSecret},
	{"netbox", payload.TypeNetBox, payload.CredentialAPIToken, faker.DemoToken},
}

// site is a tenant with its edge sync service and the systems it reads.
type site struct {
	tenant  string
	runtime *run.Service
}

func (s *stage) newSite(ctx context.Context, servers *errgroup.Group, platform *serve.Platform, n int) (*site, error) {
	slug := fmt.Sprintf("tenant-%d", n+1)
	if n < len(slugs) {
		slug = slugs[n]
	}
	if _, err := platform.Admin.CreateTenant(ctx, &adminv1.CreateTenantRequest{Slug: slug}); err != nil {
		return nil, err
	}
	config, err := s.onboard(ctx, platform, slug)
	if err != nil {
		return nil, err
	}
	endpoint, err := s.serveSystems(ctx, servers, uint64(n+1))
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		_, err := platform.Admin.CreateSource(ctx, &adminv1.CreateSourceRequest{
			Tenant:      slug,
			Spec:        &adminv1.SourceSpec{Name: source.name, SourceType: source.kind, Endpoint: endpoint},
			Credentials: map[string][]byte{source.credential: []byte(source.secret)},
		})
		if err != nil {
			return nil, err
		}
		s.board.expect(slug, source.name, s.opts.Devices)
	}
	runtime, err := run.New(run.Config{
		File: config, Once: !s.dashboard, Logger: s.log.With("tenant", slug), Observe: s.board.observe(slug), Now: s.opts.Now,
	})
	if err != nil {
		return nil, err
	}
	s.opts.IO.Tellf("tenant %s: edge sync service onboarded, Armis and NetBox at %s", slug, endpoint)
	return &site{tenant: slug, runtime: runtime}, nil
}

// onboard adds the tenant's edge sync service and unpacks its package, as on a
// host of its own. It returns the path of the minimal config.
func (s *stage) onboard(ctx context.Context, platform *serve.Platform, slug string) (string, error) {
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		return "", err
	}
	answer, err := platform.Admin.OnboardService(ctx, &adminv1.OnboardServiceRequest{
		Tenant: slug, Name: "edge", Csr: csr, GatewayAddr: platform.GatewayAddr.String(),
	})
	if err != nil {
		return "", err
	}
	files, err := identity.Package(key, answer)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, "edge-of-"+slug)
	if err := onboarding.WriteFolder(dir, files); err != nil {
		return "", err
	}
	return filepath.Join(dir, onboarding.PackageFolder(answer.GetService().GetComponentId()), filepath.FromSlash(onboarding.ConfigFile)), nil
}

// serveSystems serves an Armis and a NetBox until ctx ends.
func (s *stage) serveSystems(ctx context.Context, servers *errgroup.Group, seed uint64) (endpoint string, err error) {
	systems, err := faker.New(faker.Options{Armis: s.opts.Devices, NetBox: s.opts.Devices, Seed: seed, Now: s.opts.Now})
	if err != nil {
		return "", err
	}
	listener, err := cmdutil.Listen(ctx, "faker", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	servers.Go(func() error { return cmdutil.ServeHTTP(ctx, listener, systems) })
	return "http://" + listener.Addr().String(), nil
}
