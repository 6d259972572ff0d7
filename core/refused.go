package core

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
)

const (
	// refusalQuiet is how long the same refusal of the same peer is only counted;
	// it grows to maxRefusalQuiet while the peer goes on.
	refusalQuiet    = time.Minute
	maxRefusalQuiet = time.Hour
	// maxClaim bounds what is kept of what a refused certificate says.
	maxClaim = 256
	// maxRefusals bounds what is remembered to keep quiet about.
	maxRefusals = 10_000
	// refusalDeadline bounds the keeping of an event whose caller may be gone.
	refusalDeadline = 5 * time.Second
)

// refusals remembers what was recorded lately, so that nobody fills a store by
// being refused.
type refusals struct {
	mu   sync.Mutex
	last map[refusalKey]*refusal
}

type refusalKey struct {
	tenant                      uuid.UUID
	identity, operation, reason string
}

type refusal struct {
	at         time.Time
	suppressed int
	// quiet doubles while it goes on, so that a service nobody switched off does
	// not fill the store for years.
	quiet time.Duration
}

// Refused records that a peer tried what it may not: who, what, from where. It
// is logged and kept among the peer's tenant's own events; repetitions within a
// while are counted and told with the next.
func (c *Core) Refused(ctx context.Context, peer certs.Peer, operation, reason string) {
	c.RefusedAt(ctx, "gateway", peer, operation, reason)
}

// RefusedAt is Refused for what was tried elsewhere than at the gateway; origin
// is as Actor has it.
func (c *Core) RefusedAt(ctx context.Context, origin string, peer certs.Peer, operation, reason string) {
	operation, reason = clean(operation, maxName), clean(reason, maxName)
	c.metrics.refused.WithLabelValues(reasonLabel(reason)).Inc()
	who := identityOf(peer)
	suppressed, tell := c.refusals.note(refusalKey{peer.TenantID, who, operation, reason}, c.options.Now())
	if !tell {
		return
	}
	details := map[string]string{"identity": who, "operation": operation, "reason": reason, "address": peer.Addr}
	if suppressed > 0 {
		details["repeated"] = strconv.Itoa(suppressed)
	}
	c.log.Warn("refuse operation", "identity", who, "issued_by", peer.Tenant, "operation", operation, "reason", reason, "address", peer.Addr, "repeated", suppressed)
	c.recordSecurity(ctx, Actor{Name: who, Origin: origin}, peer, Event{
		Type: "security." + reasonLabel(reason), Severity: SeverityWarning,
		Message: who + " was refused " + operation + ": " + reason,
		Details: details,
	})
}

// identityOf is who a peer is, or, of one that proved nothing, says it is.
func identityOf(peer certs.Peer) string {
	switch {
	case peer.Component != "":
		return peer.SPIFFE()
	case peer.Claim != "":
		return "a certificate that claims " + strconv.Quote(clean(peer.Claim, maxClaim))
	}
	return "a certificate that claims nothing"
}

// recordSecurity keeps a security event even if whoever caused it has hung up.
func (c *Core) recordSecurity(ctx context.Context, actor Actor, peer certs.Peer, event Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalDeadline)
	defer cancel()
	err := func() error {
		tenant, err := c.tenantByID(ctx, peer.TenantID)
		if err != nil {
			return err
		}
		s, err := c.scopeOf(ctx, tenant)
		if err != nil {
			return err
		}
		return c.change(ctx, s, func(_ TenantTx, events *eventLog) error {
			events.add(actor, event)
			return nil
		})
	}()
	if err != nil {
		c.log.Error("keep security event", "identity", actor.Name, "event_type", event.Type, "error", err)
	}
}

// note says whether a refusal is to be told now, and how many were not since
// the last that was.
func (r *refusals) note(key refusalKey, now time.Time) (suppressed int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[refusalKey]*refusal{}
	}
	before := r.last[key]
	if before != nil && now.Sub(before.at) < before.quiet && !now.Before(before.at) {
		before.suppressed++
		return 0, false
	}
	quiet := refusalQuiet
	if before != nil && now.Sub(before.at) < 2*before.quiet {
		quiet = min(2*before.quiet, maxRefusalQuiet)
	}
	if before == nil && len(r.last) >= maxRefusals {
		r.forget(now)
	}
	if before != nil {
		suppressed = before.suppressed
	}
	r.last[key] = &refusal{at: now, quiet: quiet}
	return suppressed, true
}

// forget makes room: what is past its quiet time goes, and if that is nothing,
// everything.
func (r *refusals) forget(now time.Time) {
	for key, one := range r.last {
		if now.Sub(one.at) >= one.quiet {
			delete(r.last, key)
		}
	}
	if len(r.last) >= maxRefusals {
		clear(r.last)
	}
}

// reasonLabel makes one word of a reason, for the event's type and the counter.
func reasonLabel(reason string) string {
	word := strings.Join(strings.FieldsFunc(strings.ToLower(reason), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "_")
	if word == "" || len(word) > 48 {
		return "refused"
	}
	return word
}
