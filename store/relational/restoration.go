package relational

import (
	"context"
	"fmt"

	"edgesync/core"
)

func (t Platform) Restorations(ctx context.Context) ([]core.Restoration, error) {
	scan := func(row Row) (r core.Restoration, err error) {
		return r, row.Scan(idColumn{&r.ID}, timeColumn{&r.BackupAt}, timeColumn{&r.RestoredAt}, timeColumn{&r.SettledAt}, &r.SettledBy)
	}
	found, err := All(ctx, t.s, scan, `
		SELECT id, backup_at, restored_at, settled_at, settled_by FROM restoration ORDER BY restored_at, id`)
	if err != nil {
		return nil, fmt.Errorf("list restorations: %w", err)
	}
	return found, nil
}

func (t Platform) PutRestoration(ctx context.Context, r core.Restoration) error {
	_, err := t.s.Exec(ctx, `
		INSERT INTO restoration (id, backup_at, restored_at, settled_at, settled_by) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET backup_at = excluded.backup_at, restored_at = excluded.restored_at,
			settled_at = excluded.settled_at, settled_by = excluded.settled_by`,
		id(r.ID), micros(r.BackupAt), micros(r.RestoredAt), micros(r.SettledAt), r.SettledBy)
	if err != nil {
		return fmt.Errorf("put restoration %s: %w", r.ID, err)
	}
	return nil
}
