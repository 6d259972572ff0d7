package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/certs/issue"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const life = 30 * 24 * time.Hour

// authority signs credentials without a CA between.
type authority struct {
	t      *testing.T
	tenant *issue.Authority
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	root, err := issue.NewRoot("edgesync.local", begin)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := root.NewTenantIntermediate("acme", begin)
	if err != nil {
		t.Fatal(err)
	}
	return authority{t, tenant}
}

func (a authority) credential(now time.Time) client.Credential {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := a.tenant.SignLeaf(csr, issue.Leaf{Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "edge", Life: life}, now)
	if err != nil {
		a.t.Fatal(err)
	}
	return client.Credential{Key: key, Chain: []*x509.Certificate{leaf, a.tenant.Certificate}, CAURL: "https://ca.invalid"}
}

// world is a keeper with a clock and a CA that can fail.
type world struct {
	now    time.Time
	asked  int
	fail   error
	log    bytes.Buffer
	keeper *client.Keeper
	// outside is what somebody else has put in the credential's place.
	outside client.Credential
}

func (w *world) look(client.Credential) (client.Credential, bool) {
	found := w.outside
	w.outside = client.Credential{}
	return found, found.Key != nil
}

func newWorld(t *testing.T) *world {
	a := newAuthority(t)
	w := &world{now: begin}
	renew := func(context.Context, client.Credential) (client.Credential, error) {
		w.asked++
		if w.fail != nil {
			return client.Credential{}, w.fail
		}
		return a.credential(w.now), nil
	}
	w.keeper = client.NewKeeper(a.credential(begin), renew, w.look, func() time.Time { return w.now }, slog.New(slog.NewTextHandler(&w.log, nil)))
	return w
}

func (w *world) check(t *testing.T, asked int) {
	t.Helper()
	_ = w.keeper.Check(t.Context())
	if w.asked != asked {
		t.Fatalf("%s after the beginning the CA was asked %d times, want %d", w.now.Sub(begin), w.asked, asked)
	}
}

func TestKeeperRenewsAtTwoThirdsOfItsLife(t *testing.T) {
	w := newWorld(t)
	first := w.keeper.Certificate()
	w.check(t, 0)
	w.now = begin.Add(life * 6 / 10)
	w.check(t, 0)
	w.now = begin.Add(life * 2 / 3)
	w.check(t, 1)
	if w.keeper.Certificate() == first {
		t.Error("the keeper presents the old certificate")
	}
	w.check(t, 1)
	w.now = w.now.Add(life * 2 / 3)
	w.check(t, 2)
}

func TestKeeperTakesWhatOthersHaveRenewed(t *testing.T) {
	w := newWorld(t)
	w.now = begin.Add(life * 2 / 3)
	w.outside = newAuthority(t).credential(w.now)
	want := w.outside.Chain[0]
	w.check(t, 0)
	if !w.keeper.Certificate().Leaf.Equal(want) || !w.keeper.Credential().Chain[0].Equal(want) {
		t.Error("the keeper presents what was replaced")
	}
}

func TestKeeperPausesAfterFailures(t *testing.T) {
	w := newWorld(t)
	w.now, w.fail = begin.Add(life*2/3), errors.New("the CA is away")
	for range 10_000 {
		_ = w.keeper.Check(t.Context())
		w.now = w.now.Add(time.Minute)
	}
	// A week of minutes: at first seconds, then up to half an hour and more between.
	if w.asked < 150 || w.asked > 700 {
		t.Errorf("the CA was asked %d times in a week", w.asked)
	}
	if told := strings.Count(w.log.String(), "the CA is away"); told < 100 || told > 170 {
		t.Errorf("it was told %d times in a week, want about once an hour", told)
	}
	w.fail = nil
	w.now = w.now.Add(2 * time.Hour)
	_ = w.keeper.Check(t.Context())
	if !strings.Contains(w.log.String(), "certificate renewed") || !w.now.Before(w.keeper.Certificate().Leaf.NotAfter) {
		t.Error("it did not recover")
	}
}

func TestKeeperSurvivesAClockThatIsSetBack(t *testing.T) {
	w := newWorld(t)
	w.now, w.fail = begin.Add(life), errors.New("away")
	w.check(t, 1)
	w.now, w.fail = begin.Add(life*2/3), nil
	w.check(t, 2)
}
