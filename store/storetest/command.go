package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

func testCommands(t *testing.T, place Place) {
	reopen := place(t)
	store := reopen()
	acme, beta := core.Tenant{ID: uuid.New(), Slug: "acme"}, core.Tenant{ID: uuid.New(), Slug: "beta"}
	command := func(tenant core.Tenant, service uuid.UUID, minute int) core.PendingCommand {
		return core.PendingCommand{
			Command: core.Command{ID: uuid.New(), Type: "sync-now", Service: service, Tenant: tenant.ID, CreatedAt: at(minute), Life: 30 * time.Second},
			By:      "local:0", What: "sync of service hq", Ended: "service.sync_now_ended",
		}
	}
	hq, branch := uuid.New(), uuid.New()
	second, first, other := command(acme, hq, 2), command(acme, hq, 1), command(beta, branch, 3)
	first.Source = uuid.New()
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.PutTenant(ctx, acme))
		check(t, tx.PutTenant(ctx, beta))
		for _, c := range []core.PendingCommand{second, first, other} {
			check(t, tx.PutCommand(ctx, c))
		}
		first.Acknowledged = true
		return tx.PutCommand(ctx, first)
	}))
	check(t, store.Close())
	store = reopen()
	t.Cleanup(func() { check(t, store.Close()) })
	stored := func(service uuid.UUID) (found []core.PendingCommand) {
		platformView(t, store, func(ctx context.Context, tx core.PlatformTx) (err error) {
			found, err = tx.Commands(ctx, service)
			return err
		})
		return found
	}
	equal(t, "commands of a service", stored(hq), []core.PendingCommand{first, second})
	equal(t, "all commands", stored(uuid.Nil), []core.PendingCommand{first, second, other})
	equal(t, "commands of a service without", stored(uuid.New()), nil)
	platformView(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		got, err := tx.Command(ctx, first.ID)
		equal(t, "command", got, first)
		_, missing := tx.Command(ctx, uuid.New())
		wantError(t, "read a command that is not there", missing, core.ErrNotFound)
		return err
	})
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error {
		check(t, tx.DeleteCommand(ctx, first.ID))
		wantError(t, "delete a command that is not there", tx.DeleteCommand(ctx, first.ID), core.ErrNotFound)
		return nil
	}))
	check(t, platformUpdate(t, store, func(ctx context.Context, tx core.PlatformTx) error { return tx.DeleteTenant(ctx, acme.ID) }))
	equal(t, "commands after a tenant was deleted", stored(uuid.Nil), []core.PendingCommand{other})
}
