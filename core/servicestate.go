package core

import (
	"context"
	"slices"
)

// RenameService changes what operators call a service; its component id, and so
// its identity, stays.
func (c *Core) RenameService(ctx context.Context, actor Actor, slug, ref, name string) (Service, error) {
	if err := validName("name of sync service", name); err != nil {
		return Service{}, err
	}
	return c.changeService(ctx, slug, ref, func(tx TenantTx, events *eventLog, service *SyncService) error {
		if service.Name == name {
			return nil
		}
		services, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		if i := indexOf(services, name); i >= 0 && services[i].ID != service.ID {
			return exists("rename sync service %q: %q is the name or component id of another", service.Name, name)
		}
		events.add(actor, Event{
			Type: "service.renamed", ServiceID: service.ID,
			Message: "sync service " + service.Name + " renamed to " + name,
		})
		service.Name = name
		return nil
	})
}

// RevokeService refuses a service's identity from now on. Onboarding it again
// gives it a new one.
func (c *Core) RevokeService(ctx context.Context, actor Actor, slug, ref string) (Service, error) {
	return c.changeService(ctx, slug, ref, func(_ TenantTx, events *eventLog, service *SyncService) error {
		if service.State == ServiceRevoked {
			return nil
		}
		service.State = ServiceRevoked
		events.add(actor, Event{
			Type: "service.revoked", Severity: SeverityWarning, ServiceID: service.ID,
			Message: "sync service " + service.Name + " revoked",
			Details: map[string]string{"cert_serial": service.CertSerial},
		})
		return nil
	})
}

// RemoveService refuses a service's identity and takes it off every list. It is
// refused while sources are assigned to it.
func (c *Core) RemoveService(ctx context.Context, actor Actor, slug, ref string) error {
	_, err := c.changeService(ctx, slug, ref, func(tx TenantTx, events *eventLog, service *SyncService) error {
		if service.IsPlatformSync {
			return precondition("remove sync service %q: it is the platform's own", service.Name)
		}
		sources, err := tx.Sources(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(sources, func(s Source) bool { return s.SyncServiceID == service.ID }); i >= 0 {
			return precondition("remove sync service %q: it still runs source %q: give its sources to another service (`edgesync source edit --service`) or remove them first", service.Name, sources[i].Name)
		}
		service.State = ServiceRemoved
		events.add(actor, Event{
			Type: "service.removed", Severity: SeverityWarning, ServiceID: service.ID,
			Message: "sync service " + service.Name + " removed",
			Details: map[string]string{"component_id": service.ComponentID, "cert_serial": service.CertSerial},
		})
		return nil
	})
	return err
}

// changeService lets edit change one service in a transaction; an edit that
// adds no event changes nothing.
func (c *Core) changeService(ctx context.Context, slug, ref string, edit func(TenantTx, *eventLog, *SyncService) error) (Service, error) {
	s, err := c.scope(ctx, slug)
	if err != nil {
		return Service{}, err
	}
	var service SyncService
	var ended []Certificate
	err = c.change(ctx, s, func(tx TenantTx, events *eventLog) error {
		services, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		if service, err = findByRef(services, s.tenant, ref); err != nil {
			return err
		}
		if err := edit(tx, events, &service); err != nil {
			return err
		}
		if service.State != ServiceActive {
			if ended, err = withdraw(ctx, tx, service.ComponentID, string(service.State), c.now()); err != nil {
				return err
			}
		}
		events.concern(service.ID)
		return tx.PutService(ctx, service)
	})
	if err != nil {
		return Service{}, err
	}
	if service.State != ServiceActive {
		ended = serviceCertificates(ended, service, "")
		if err := c.refuse(ctx, serviceRevocation(s.tenant.ID, service.ComponentID), ended); err != nil {
			return Service{}, err
		}
	}
	if service.State == ServiceRemoved {
		return Service{SyncService: service, Tenant: s.tenant}, nil
	}
	return c.Service(ctx, slug, service.ID.String())
}
