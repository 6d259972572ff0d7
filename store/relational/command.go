package relational

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"edgesync/core"
)

const selectCommand = `
	SELECT id, type, service_id, tenant_id, source_id, created_at, life, acknowledged, asked_by, what, ended FROM command `

func scanCommand(row Row) (core.PendingCommand, error) {
	var c core.PendingCommand
	var life int64
	err := row.Scan(idColumn{&c.ID}, &c.Type, idColumn{&c.Service}, idColumn{&c.Tenant}, idColumn{&c.Source},
		timeColumn{&c.CreatedAt}, &life, &c.Acknowledged, &c.By, &c.What, &c.Ended)
	c.Life = time.Duration(life) * time.Microsecond
	return c, err
}

func (t Platform) Commands(ctx context.Context, service uuid.UUID) ([]core.PendingCommand, error) {
	const order = `ORDER BY created_at, id`
	var found []core.PendingCommand
	var err error
	if service == uuid.Nil {
		found, err = All(ctx, t.s, scanCommand, selectCommand+order)
	} else {
		found, err = All(ctx, t.s, scanCommand, selectCommand+`WHERE service_id = ? `+order, id(service))
	}
	if err != nil {
		return nil, fmt.Errorf("list commands: %w", err)
	}
	return found, nil
}

func (t Platform) Command(ctx context.Context, command uuid.UUID) (core.PendingCommand, error) {
	found, err := first(ctx, t.s, scanCommand, selectCommand+`WHERE id = ?`, id(command))
	if err != nil {
		return core.PendingCommand{}, fmt.Errorf("read command %s: %w", command, err)
	}
	return found, nil
}

func (t Platform) PutCommand(ctx context.Context, c core.PendingCommand) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO command (id, type, service_id, tenant_id, source_id, created_at, life, acknowledged, asked_by, what, ended)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET type = excluded.type, service_id = excluded.service_id,
			tenant_id = excluded.tenant_id, source_id = excluded.source_id, created_at = excluded.created_at,
			life = excluded.life, acknowledged = excluded.acknowledged, asked_by = excluded.asked_by,
			what = excluded.what, ended = excluded.ended`,
		id(c.ID), c.Type, id(c.Service), id(c.Tenant), id(c.Source), micros(c.CreatedAt), c.Life.Microseconds(), c.Acknowledged,
		c.By, c.What, c.Ended)
	if err != nil {
		return fmt.Errorf("put command %s: %w", c.ID, err)
	}
	return nil
}

func (t Platform) DeleteCommand(ctx context.Context, command uuid.UUID) error {
	n, err := t.s.Exec(ctx, `DELETE FROM command WHERE id = ?`, id(command))
	if err == nil && n == 0 {
		err = core.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete command %s: %w", command, err)
	}
	return nil
}
