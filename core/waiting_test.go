package core

import "github.com/google/uuid"

// Waiting is how many wait for a tenant's turn.
func (c *Core) Waiting(tenant uuid.UUID) int { return len(c.lane(tenant).waiting) }
