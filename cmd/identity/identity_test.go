package identity_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// authority is a platform that only signs.
type authority struct {
	adminv1.AdminClient
	t          *testing.T
	now        time.Time
	root, sign *issue.Authority
	// former are intermediates that were replaced, formerRoots the roots that are
	// retiring.
	former      []*issue.Authority
	formerState string
	formerRoots []*x509.Certificate
	addr        string
	service     *adminv1.SyncService
	signed      int
}

const life = 30 * 24 * time.Hour

func newAuthority(t *testing.T) *authority {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	root, err := issue.NewRoot("edgesync.local", now)
	if err != nil {
		t.Fatal(err)
	}
	sign, err := root.NewPlatformIntermediate("platform", now)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, now: now, root: root, sign: sign, addr: "gw.example.com:50052", service: &adminv1.SyncService{
		Tenant: "platform", Name: "platform-sync", ComponentId: "platform-sync", Partition: "default", IsPlatformSync: true,
	}}
}

func (a *authority) GetPlatform(context.Context, *adminv1.GetPlatformRequest, ...grpc.CallOption) (*adminv1.Platform, error) {
	sum := sha256.Sum256(a.root.Certificate.Raw)
	return &adminv1.Platform{
		PlatformSlug: "platform", TrustDomain: "edgesync.local", GatewayAddr: a.addr,
		GatewayServerName: "agent-gateway.edgesync.local", RootFingerprint: hex.EncodeToString(sum[:]),
		RootPem: string(certs.EncodePEM(append([]*x509.Certificate{a.root.Certificate}, a.formerRoots...)...)),
	}, nil
}

func (a *authority) ListAuthorities(context.Context, *adminv1.ListAuthoritiesRequest, ...grpc.CallOption) (*adminv1.ListAuthoritiesResponse, error) {
	answer := &adminv1.ListAuthoritiesResponse{Authorities: []*adminv1.Authority{
		{KeyId: certs.KeyID(a.sign.Certificate), Kind: "platform", State: "active"},
	}}
	for _, former := range a.former {
		answer.Authorities = append(answer.Authorities, &adminv1.Authority{KeyId: certs.KeyID(former.Certificate), Kind: "platform", State: a.formerState})
	}
	return answer, nil
}

// replaceAuthorities makes a new root and a new intermediate; the former ones are
// in a state.
func (a *authority) replaceAuthorities(state string) {
	a.t.Helper()
	a.former, a.formerState = append(a.former, a.sign), state
	if state == "retiring" {
		a.formerRoots = append(a.formerRoots, a.root.Certificate)
	}
	other := newAuthority(a.t)
	a.root, a.sign, a.now = other.root, other.sign, other.now
}

func (a *authority) issue(csr []byte, leaf issue.Leaf) (*adminv1.IssuedCertificate, error) {
	a.signed++
	leaf.Tenant, leaf.Partition, leaf.Life = "platform", "default", life
	signed, err := a.sign.SignLeaf(csr, leaf, a.now)
	if err != nil {
		return nil, err
	}
	return &adminv1.IssuedCertificate{
		CertificateChainPem: string(certs.EncodePEM(signed, a.sign.Certificate)),
		CaChainPem:          string(certs.EncodePEM(a.root.Certificate, a.sign.Certificate)),
		Serial:              signed.SerialNumber.String(), NotAfter: timestamppb.New(signed.NotAfter),
	}, nil
}

func (a *authority) IssueGateway(_ context.Context, in *adminv1.IssueGatewayRequest, _ ...grpc.CallOption) (*adminv1.IssuedCertificate, error) {
	return a.issue(in.GetCsr(), issue.Leaf{Type: certs.TypeGateway, Component: "agent-gateway",
		ServerNames: []string{"agent-gateway.edgesync.local", a.addr[:len(a.addr)-len(":50052")], "localhost"}})
}

func (a *authority) ListServices(context.Context, *adminv1.ListServicesRequest, ...grpc.CallOption) (*adminv1.ListServicesResponse, error) {
	return &adminv1.ListServicesResponse{Services: []*adminv1.SyncService{a.service}}, nil
}

func (a *authority) OnboardService(_ context.Context, in *adminv1.OnboardServiceRequest, _ ...grpc.CallOption) (*adminv1.OnboardServiceResponse, error) {
	certificate, err := a.issue(in.GetCsr(), issue.Leaf{Type: certs.TypeSync, Component: "platform-sync"})
	a.service.CertSerial = certificate.GetSerial()
	return &adminv1.OnboardServiceResponse{Service: a.service, Certificate: certificate, CaUrl: "https://ca.example.com:9443"}, err
}

func (a *authority) ensureGateway(dir string, now time.Time) (onboarding.Identity, bool) {
	a.t.Helper()
	found, made, err := identity.EnsureGateway(a.t.Context(), a, dir, now)
	if err != nil {
		a.t.Fatal(err)
	}
	return found, made
}

func TestGatewayIdentityIsKeptWhileItIsGood(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	first, made := a.ensureGateway(dir, a.now)
	if !made {
		t.Error("the first was not made")
	}
	again, made := a.ensureGateway(dir, a.now.Add(life/2))
	if made || !again.Chain[0].Equal(first.Chain[0]) {
		t.Error("a good one was replaced")
	}
}

func TestGatewayIdentityIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(a *authority, dir string) time.Time{
		"near its end":   func(a *authority, _ string) time.Time { return a.now.Add(life * 3 / 4) },
		"other address":  func(a *authority, _ string) time.Time { a.addr = "other.example.com:50052"; return a.now },
		"other platform": func(a *authority, _ string) time.Time { *a = *newAuthority(a.t); return a.now },
		"file missing": func(a *authority, dir string) time.Time {
			if err := os.Remove(filepath.Join(dir, "gateway", onboarding.CertFile)); err != nil {
				a.t.Fatal(err)
			}
			return a.now
		},
		"file damaged": func(a *authority, dir string) time.Time {
			if err := os.WriteFile(filepath.Join(dir, "gateway", onboarding.KeyFile), []byte("x"), 0o600); err != nil {
				a.t.Fatal(err)
			}
			return a.now
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, dir := newAuthority(t), t.TempDir()
			first, _ := a.ensureGateway(dir, a.now)
			now := spoil(a, dir)
			again, made := a.ensureGateway(dir, now)
			if !made || again.Chain[0].Equal(first.Chain[0]) {
				t.Fatal("it was kept")
			}
			loaded, err := onboarding.LoadIdentity(onboarding.PathsIn(filepath.Join(dir, "gateway")))
			if err != nil || !loaded.Chain[0].Equal(again.Chain[0]) {
				t.Errorf("the new one is not what is stored: %v", err)
			}
		})
	}
}

func TestKeyThatOthersCanReadIsRefused(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	a.ensureGateway(dir, a.now)
	if err := os.Chmod(filepath.Join(dir, "gateway", onboarding.KeyFile), 0o640); err != nil {
		t.Fatal(err)
	}
	_, _, err := identity.EnsureGateway(t.Context(), a, dir, a.now)
	if cmdutil.ExitCode(err) != cmdutil.ExitRefused || !errors.Is(err, onboarding.ErrNotPrivate) {
		t.Errorf("error is %v, exit code %d", err, cmdutil.ExitCode(err))
	}
	if a.signed != 1 {
		t.Error("a new one was made")
	}
}

func (a *authority) ensureSync(dir string, now time.Time) bool {
	a.t.Helper()
	made, err := identity.EnsurePlatformSync(a.t.Context(), a, dir, now)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

func TestPlatformSyncPackageWorks(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	if !a.ensureSync(dir, a.now) {
		t.Error("it was not made")
	}
	config, err := onboarding.LoadConfig(identity.PlatformSyncConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	if config.AgentID != "platform-sync" || config.GatewayAddr != a.addr || config.ServerName() != "agent-gateway.edgesync.local" {
		t.Errorf("config is %+v", config)
	}
	if _, err := config.ClientTLS(); err != nil {
		t.Errorf("its identity does not work: %v", err)
	}
}

func TestPlatformSyncIdentityInUseIsNotReplaced(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	a.ensureSync(dir, a.now)
	for _, now := range []time.Time{a.now, a.now.Add(life - time.Hour)} {
		if a.ensureSync(dir, now) || a.signed != 1 {
			t.Errorf("at %s it was made anew: a runtime that uses it would be cut off", now)
		}
	}
	if !a.ensureSync(dir, a.now.Add(life+time.Hour)) || a.signed != 2 {
		t.Error("an expired one was kept")
	}
	a.service.CertSerial = "1"
	if !a.ensureSync(dir, a.now) || a.signed != 3 {
		t.Error("one that was replaced elsewhere was kept")
	}
	if err := os.Remove(identity.PlatformSyncConfig(dir)); err != nil {
		t.Fatal(err)
	}
	if !a.ensureSync(dir, a.now) || a.signed != 3 {
		t.Error("a lost config must be written again, its identity kept")
	}
}

// TestIdentitiesFollowARotation: the gateway's is made anew at once, that of the
// sync service is renewed by its runtime and replaced here only when it is of no
// use any more.
func TestIdentitiesFollowARotation(t *testing.T) {
	for state, replaced := range map[string]bool{"retiring": false, "ended": true} {
		a, dir := newAuthority(t), t.TempDir()
		a.ensureGateway(dir, a.now)
		if _, err := identity.EnsurePlatformSync(t.Context(), a, dir, a.now); err != nil {
			t.Fatal(err)
		}
		a.replaceAuthorities(state)
		found, made := a.ensureGateway(dir, a.now)
		if !made || found.Chain[0].CheckSignatureFrom(a.sign.Certificate) != nil {
			t.Errorf("%s: the gateway's identity was made %v", state, made)
		}
		wrote, err := identity.EnsurePlatformSync(t.Context(), a, dir, a.now)
		if err != nil || wrote != replaced {
			t.Errorf("%s: the sync service's identity was replaced %v, %v", state, wrote, err)
		}
	}
}
