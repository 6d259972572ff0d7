package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
)

// OnboardInput is what onboarding a sync service takes.
type OnboardInput struct {
	Tenant string
	// Name is what operators call it; the component id is made of it.
	Name string
	// Partition defaults to "default".
	Partition string
	// CSR is PKCS #10, DER; only its public key is used.
	CSR []byte
	// GatewayAddr overrides the platform's in the answer.
	GatewayAddr string
}

// Onboarded is a sync service with a new identity, and where it is to connect.
type Onboarded struct {
	Service           Service
	Certificate       IssuedCertificate
	GatewayAddr       string
	GatewayServerName string
	CAURL             string
	RootFingerprint   string
}

// Onboard records a sync service and signs its identity. Onboarding a component
// again gives it a new identity, and the old one is refused from then on.
func (c *Core) Onboard(ctx context.Context, actor Actor, in OnboardInput) (Onboarded, error) {
	p, err := c.ready()
	if err != nil {
		return Onboarded{}, err
	}
	s, err := c.scope(ctx, in.Tenant)
	if err != nil {
		return Onboarded{}, err
	}
	component, err := onboardComponent(ctx, s, in.Name)
	if err != nil {
		return Onboarded{}, err
	}
	in, refusal := checkOnboard(p, s.tenant, in, component)
	if refusal != nil {
		return Onboarded{}, refusal
	}
	authority, err := c.serviceIssuer(ctx, p, s.tenant)
	if err != nil {
		return Onboarded{}, err
	}
	leaf, err := authority.SignLeaf(in.CSR, issue.Leaf{
		Type: certs.TypeSync, Tenant: s.tenant.Slug, Partition: in.Partition,
		Component: component, Life: c.options.LeafLife,
	}, c.now())
	if err != nil {
		return Onboarded{}, invalid("onboard %q: %v", in.Name, err)
	}
	certificate := p.issued(leaf, authority)
	identity, err := certs.ReadLeaf(leaf)
	if err != nil {
		return Onboarded{}, err
	}
	service, err := c.recordService(ctx, actor, s, in, ownedBy(leaf, identity, c.now()))
	if err != nil {
		return Onboarded{}, err
	}
	info := p.info()
	return Onboarded{
		Service: service, Certificate: certificate, GatewayAddr: in.GatewayAddr,
		GatewayServerName: info.GatewayServerName,
		CAURL:             "https://" + p.CAAddr, RootFingerprint: info.RootFingerprint,
	}, nil
}

// onboardComponent is the component id a name stands for: that of the service
// called so, else the one made of the name.
func onboardComponent(ctx context.Context, s scope, name string) (string, error) {
	if err := validName("name of sync service", name); err != nil {
		return "", err
	}
	var all []SyncService
	err := s.store.View(ctx, func(tx TenantTx) (err error) {
		all, err = tx.ServicesCalled(ctx, name, "")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("find sync service %q of tenant %s: %w", name, s.tenant.Slug, err)
	}
	if i := slices.IndexFunc(all, func(one SyncService) bool { return one.State != ServiceRemoved && one.Name == name }); i >= 0 {
		return all[i].ComponentID, nil
	}
	component, err := certs.ComponentID(name)
	if err != nil {
		return "", invalid("onboard: %v", err)
	}
	return component, nil
}

func checkOnboard(p *platform, tenant Tenant, in OnboardInput, component string) (OnboardInput, *Error) {
	if tenant.State != TenantActive {
		return in, precondition("onboard %q: tenant %s is suspended: resume it first", clean(in.Name, maxName), tenant.Slug)
	}
	var err *Error
	if in.Partition, err = validPartition(in.Partition); err != nil {
		return in, err
	}
	if tenant.IsPlatform && (component != PlatformSyncName || in.Partition != defaultPartition) {
		return in, precondition("onboard %q: the platform's only sync service is %s: onboard edge services in a tenant of their own", in.Name, PlatformSyncName)
	}
	if _, err := certs.CommonName(component, in.Partition, tenant.Slug, p.TrustDomain); err != nil {
		return in, invalid("onboard %q: %v", in.Name, err)
	}
	if in.GatewayAddr == "" {
		in.GatewayAddr = p.GatewayAddr
	} else if err := validAddr("gateway address", in.GatewayAddr); err != nil {
		return in, err
	}
	return in, nil
}

// serviceIssuer is the authority that signs a tenant's sync services.
func (c *Core) serviceIssuer(ctx context.Context, p *platform, tenant Tenant) (signer, error) {
	if tenant.IsPlatform {
		return p.authority, nil
	}
	return c.issuer(ctx, AuthorityTenant, tenant.ID)
}

// recordService writes the service with the serial of its new certificate. Only
// then is the certificate of any use: one whose record was not written is never
// handed out.
func (c *Core) recordService(ctx context.Context, actor Actor, s scope, in OnboardInput, certificate Certificate) (Service, error) {
	component := certificate.Component
	var service, old SyncService
	var ended []Certificate
	err := c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		services, err := tx.ServicesCalled(ctx, in.Name, component)
		if err != nil {
			return err
		}
		if service, old, err = onboardInto(services, in, component, c.now()); err != nil {
			return err
		}
		service.CertSerial, service.CertExpiresAt = certificate.Serial, certificate.NotAfter
		if ended, err = withdraw(ctx, tx, component, reasonOnboardedAgain, c.now()); err != nil {
			return err
		}
		if err := tx.AddCertificate(ctx, certificate); err != nil {
			return err
		}
		events.add(actor, onboardEvent(service, old))
		events.concern(service.ID)
		return tx.PutService(ctx, service)
	})
	if errors.Is(err, ErrConflict) {
		return Service{}, exists("onboard %q: component id %s exists already", in.Name, component)
	}
	if err != nil {
		return Service{}, doing(err, "record sync service %s", component)
	}
	ended = serviceCertificates(ended, old, certificate.Serial)
	if err := c.refuse(ctx, onlyThose(s.tenant.ID, certs.TypeSync, component, ended), ended); err != nil {
		return Service{}, err
	}
	found := Service{SyncService: service, Tenant: s.tenant}
	c.judge(&found, tally{})
	return found, nil
}

// onboardInto makes the record of a service, of a new one or of one that is
// there; old is what it was before.
func onboardInto(services []SyncService, in OnboardInput, component string, now time.Time) (service, old SyncService, err error) {
	for _, one := range services {
		switch {
		case one.ComponentID == component:
			old = one
		case one.State != ServiceRemoved && one.Name == in.Name:
			return service, old, aborted("onboard %q: another sync service was given that name meanwhile: try again", in.Name)
		}
	}
	switch {
	case old.ID == uuid.Nil || old.State == ServiceRemoved:
		service = SyncService{ID: old.ID, Name: in.Name, ComponentID: component, Type: ServiceOnPrem, CreatedAt: now}
		if service.ID == uuid.Nil {
			service.ID = uuid.New()
		}
	case old.Name != in.Name && in.Name != component:
		return service, old, exists("onboard %q: its component id %s is that of sync service %q: choose another name, or onboard --name %s to give that one a new identity", in.Name, component, old.Name, component)
	default:
		service = old
	}
	service.State, service.Partition = ServiceActive, in.Partition
	return service, old, nil
}

func onboardEvent(service, old SyncService) Event {
	event := Event{Type: "service.onboarded", ServiceID: service.ID, Message: "sync service " + service.Name + " onboarded"}
	event.Details = map[string]string{"component_id": service.ComponentID, "cert_serial": service.CertSerial}
	if old.CertSerial != "" {
		event.Message = "sync service " + service.Name + " onboarded again: its former identity is refused"
		event.Details["replaced_cert_serial"] = old.CertSerial
	}
	return event
}
