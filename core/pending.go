package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/proto/shell"
)

// Commands are kept in the store from the moment they are given until their end
// is told of by an event. A process that ends takes nothing with it but who
// waited: what was not begun reaches its service over the next stream, wherever
// that leads, what was begun ends when its service says so, and what is not
// begun in time, or never heard of again, is ended here.

// sweepEvery is how often commands are looked through for those to be ended.
const sweepEvery = 15 * time.Second

func (c *Core) keepCommand(ctx context.Context, p PendingCommand) error {
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.PutCommand(ctx, p) })
	if err != nil {
		return fmt.Errorf("keep command: %w", err)
	}
	return nil
}

// dropCommand forgets a command whose end nobody has to be told of.
func (c *Core) dropCommand(ctx context.Context, id uuid.UUID) {
	ctx = context.WithoutCancel(ctx)
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error { return tx.DeleteCommand(ctx, id) })
	if err != nil && !errors.Is(err, ErrNotFound) {
		c.log.Warn("forget command", "command_id", id, "error", err)
	}
}

// begun keeps that a service has acknowledged a command.
func (c *Core) begun(ctx context.Context, id uuid.UUID) {
	err := c.store.Platform().Update(ctx, func(tx PlatformTx) error {
		p, err := tx.Command(ctx, id)
		if err != nil || p.Acknowledged {
			return err
		}
		p.Acknowledged = true
		return tx.PutCommand(ctx, p)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		c.log.Warn("keep that a command has begun", "command_id", id, "error", err)
	}
}

// kept is a command as it is stored, if it is.
func (c *Core) kept(ctx context.Context, id uuid.UUID) (p PendingCommand, err error) {
	err = c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		p, err = tx.Command(ctx, id)
		return err
	})
	return p, err
}

// takeLate takes a result that nobody here knows the command of. It may be one
// that was given by a process that is no more, or one whose caller has gone.
func (c *Core) takeLate(ctx context.Context, peer certs.Peer, r CommandReport) {
	p, err := c.kept(ctx, r.Command)
	switch {
	case errors.Is(err, ErrNotFound):
		c.metrics.commands.WithLabelValues("unknown").Inc()
	case err != nil:
		c.log.Warn("read command", "command_id", r.Command, "error", err)
	case p.Service != r.Service:
		c.Refused(ctx, peer, "ControlStream", reasonForeignCommand)
	default:
		// Who asked for it may wait in another process.
		c.publish(ctx, Notice{Report: &r})
		c.endCommand(ctx, p, r)
	}
}

// ended tells of the end of a command that is under way here.
func (c *Core) ended(ctx context.Context, r CommandReport) {
	p, err := c.kept(ctx, r.Command)
	if err == nil {
		c.endCommand(ctx, p, r)
	} else if !errors.Is(err, ErrNotFound) {
		c.log.Warn("read command", "command_id", r.Command, "error", err)
	}
}

// endCommand leaves an event that tells how a command ended, and forgets it.
func (c *Core) endCommand(ctx context.Context, p PendingCommand, r CommandReport) {
	ctx = context.WithoutCancel(ctx)
	event := Event{
		Type: p.Ended, SourceID: p.Source, ServiceID: p.Service, Message: p.What + " has ended well",
		Details: map[string]string{"command_id": p.ID.String(), "asked_by": p.By},
	}
	if !r.Success {
		event.Severity, event.Message = SeverityWarning, p.What+" did not end well"
		if r.Message != "" {
			event.Message += ": " + r.Message
		}
	}
	if err := c.tellEnd(ctx, p.Tenant, event); err != nil {
		c.log.Warn("tell of the end of a command", "command_id", p.ID, "error", err)
		return // It is looked at again.
	}
	c.dropCommand(ctx, p.ID)
}

// tellEnd leaves an event in a tenant, if that is still there.
func (c *Core) tellEnd(ctx context.Context, id uuid.UUID, event Event) error {
	tenant, err := c.tenantByID(ctx, id)
	if err == nil {
		err = c.recordCommand(ctx, Actor{Name: "core", Origin: "core"}, tenant, event)
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// restore gives a line the commands that its service was given elsewhere, or
// before this process was there.
func (c *Core) restore(ctx context.Context, service uuid.UUID) error {
	var found []PendingCommand
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		found, err = tx.Commands(ctx, service)
		return err
	})
	if err != nil {
		return fmt.Errorf("read commands of service: %w", err)
	}
	for _, p := range found {
		if !p.Acknowledged && !c.overdue(p) {
			c.lines.adopt(p.Command)
		}
	}
	return nil
}

// overdue tells whether a command is not going to be begun, or to end, any more.
func (c *Core) overdue(p PendingCommand) bool {
	life := p.Life
	if p.Acknowledged {
		life = orderLife
	}
	return c.now().Sub(p.CreatedAt) > life
}

// sweepCommands ends, until ctx ends, the commands that nobody else does.
func (c *Core) sweepCommands(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := c.EndOverdueCommands(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("end commands that are overdue", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// EndOverdueCommands ends the commands that their services did not begin in time,
// or were not heard of again, and for which nobody here waits.
func (c *Core) EndOverdueCommands(ctx context.Context) error {
	var all []PendingCommand
	err := c.store.Platform().View(ctx, func(tx PlatformTx) (err error) {
		all, err = tx.Commands(ctx, uuid.Nil)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range all {
		if !c.overdue(p) || c.lines.awaited(p.ID) {
			continue
		}
		c.lines.withdraw(p.ID)
		reason := fmt.Sprintf("its sync service did not connect and begin it within %s: ask again once it is online", shell.Duration(p.Life))
		if p.Acknowledged {
			reason = fmt.Sprintf("its sync service began it and said nothing more of it for %s", shell.Duration(orderLife))
		}
		c.metrics.commands.WithLabelValues("expired").Inc()
		c.endCommand(ctx, p, CommandReport{Message: reason})
	}
	return nil
}
