package core

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
)

// Reasons a certificate ends before its time.
const (
	reasonOnboardedAgain = "onboarded again"
	reasonAddedAgain     = "added again"
	reasonSuperseded     = "superseded"
)

// enrolmentKept is how long tokens and certificates are remembered after their
// end, for whoever looks at what happened.
const enrolmentKept = 30 * 24 * time.Hour

// pruneEvery is how often a tenant's past is looked through for what to forget.
const pruneEvery = time.Hour

// prune forgets a tenant's tokens and certificates that ended long ago. It is
// called with whatever adds to them.
func (c *Core) prune(ctx context.Context, tx TenantTx, tenant uuid.UUID) error {
	now := c.now()
	if !c.lane(tenant).duePrune(now) {
		return nil
	}
	return tx.PruneEnrolment(ctx, now.Add(-enrolmentKept))
}

// duePrune says whether it is time, once for each time.
func (l *lane) duePrune(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.pruned); age >= 0 && age < pruneEvery {
		return false
	}
	l.pruned = now
	return true
}

// endCertificates revokes a component's certificates but those to be kept, and
// returns them. Those that have ended by themselves count for as long as they
// can be renewed by proof of their key.
func endCertificates(ctx context.Context, tx TenantTx, component, reason string, now time.Time, keep ...string) ([]Certificate, error) {
	live, err := tx.Certificates(ctx, component, now.Add(-recoveryGrace))
	if err != nil {
		return nil, err
	}
	live = slices.DeleteFunc(live, func(one Certificate) bool { return slices.Contains(keep, one.Serial) })
	for _, one := range live {
		if err := tx.RevokeCertificate(ctx, one.Serial, reason, now); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// withdraw ends everything a component could get in with: its certificates, and
// the tokens it could exchange for others.
func withdraw(ctx context.Context, tx TenantTx, component, reason string, now time.Time) ([]Certificate, error) {
	if _, err := tx.CancelJoinTokens(ctx, component, now); err != nil {
		return nil, err
	}
	return endCertificates(ctx, tx, component, reason, now)
}

// liveSerials are the serials a component may come with besides the one its
// record names: while a certificate is being renewed there are two.
func liveSerials(ctx context.Context, tx TenantTx, component string, now time.Time) ([]string, error) {
	live, err := tx.Certificates(ctx, component, now)
	if err != nil {
		return nil, fmt.Errorf("list certificates of %s: %w", component, err)
	}
	serials := make([]string, len(live))
	for i, one := range live {
		serials[i] = one.Serial
	}
	return serials, nil
}

// ownedBy is the certificate of a leaf as it is kept.
func ownedBy(leaf *x509.Certificate, named certs.Identity, now time.Time) Certificate {
	return Certificate{
		Serial: named.Serial, Issuer: hex.EncodeToString(leaf.AuthorityKeyId), Type: named.Type,
		Partition: named.Partition, Component: named.Component, IssuedAt: now, NotAfter: named.NotAfter.UTC(),
	}
}

// found turns a row that is not there into false.
func found(err error) (bool, error) {
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
