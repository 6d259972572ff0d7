package client

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// checkEvery bounds how long a clock that was set goes unnoticed.
	checkEvery = time.Minute
	// firstRetry and lastRetry bound the pause after a renewal that failed.
	firstRetry = 10 * time.Second
	lastRetry  = 30 * time.Minute
	// quietFailures is how long the same trouble is only counted.
	quietFailures = time.Hour
)

// RenewFunc returns what takes the place of a credential, written down already:
// what it returns is used at once.
type RenewFunc func(ctx context.Context, old Credential) (Credential, error)

// LookFunc returns what has taken the place of a credential without the keeper's
// doing, if anything has.
type LookFunc func(held Credential) (Credential, bool)

// Keeper holds a credential and replaces it at two thirds of its life, a little
// earlier on some hosts than on others.
type Keeper struct {
	renew RenewFunc
	look  LookFunc
	now   func() time.Time
	log   *slog.Logger

	// early is the part of a life by which this host is ahead of others.
	early float64
	held  atomic.Pointer[Credential]
	tls   atomic.Pointer[tls.Certificate]

	// mu is held while renewing: one at a time.
	mu       sync.Mutex
	notUntil time.Time
	pause    *backoff.ExponentialBackOff
	failures int
	told     time.Time
}

// NewKeeper makes a keeper; a nil logger discards, a nil clock is time.Now, and
// without look nobody else replaces the credential.
func NewKeeper(held Credential, renew RenewFunc, look LookFunc, now func() time.Time, log *slog.Logger) *Keeper {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.Multiplier = firstRetry, lastRetry, 2
	// How long it is ahead is no secret.
	k := &Keeper{renew: renew, look: look, now: now, log: log, pause: pause, early: rand.Float64() / 20}
	k.hold(held)
	return k
}

func (k *Keeper) hold(c Credential) {
	k.held.Store(&c)
	k.tls.Store(c.TLS())
}

// Credential is what is held now.
func (k *Keeper) Credential() Credential { return *k.held.Load() }

// Certificate is what to present now.
func (k *Keeper) Certificate() *tls.Certificate { return k.tls.Load() }

// due is when the credential is to be replaced: early is up to 1/20 of its life.
func due(c Credential, early float64) time.Time {
	leaf := c.Chain[0]
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return leaf.NotBefore.Add(life*2/3 - time.Duration(float64(life)*early))
}

// Check renews the credential if that is due and no pause after a failure is
// under way. The error is nil while there is nothing to do.
func (k *Keeper) Check(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.look != nil {
		if found, ok := k.look(k.Credential()); ok {
			k.hold(found)
			k.log.Info("certificate replaced from outside", "serial", found.Chain[0].SerialNumber.String(), "expires", found.Chain[0].NotAfter)
		}
	}
	held := k.Credential()
	if now.Before(due(held, k.early)) {
		return nil
	}
	// A pause longer than any that is made is one that the clock jumped over.
	if wait := k.notUntil.Sub(now); wait > 0 && wait <= 2*lastRetry {
		return nil
	}
	renewed, err := k.renew(ctx, held)
	if err != nil {
		k.notUntil = now.Add(k.pause.NextBackOff())
		return k.failed(ctx, now, err)
	}
	k.hold(renewed)
	k.notUntil = time.Time{}
	k.pause.Reset()
	k.log.Info("certificate renewed", "serial", renewed.Chain[0].SerialNumber.String(), "expires", renewed.Chain[0].NotAfter, "failures_before", k.failures)
	k.failures = 0
	return nil
}

// failed tells the first failure, and one an hour after it.
func (k *Keeper) failed(ctx context.Context, now time.Time, err error) error {
	if ctx.Err() != nil {
		return err
	}
	k.failures++
	if k.failures > 1 && now.Sub(k.told) < quietFailures && !now.Before(k.told) {
		return err
	}
	k.told = now
	level, end := slog.LevelWarn, k.Credential().Chain[0].NotAfter
	var refused *RefusedError
	if now.After(end) || errors.Is(err, ErrEnded) || errors.As(err, &refused) {
		level = slog.LevelError
	}
	k.log.Log(ctx, level, "renew certificate", "error", err, "expires", end, "failures", k.failures)
	return err
}

// Run checks until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// Check has told what there is to tell.
			_ = k.Check(ctx)
		}
	}
}
