package onboarding_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

var known = onboarding.Defaults{Tenants: []string{"acme", "globex"}, GatewayAddr: "gw.example:50052", TrustDomain: "edgesync.local"}

func TestWizardGoesBackWithoutLosingAnswers(t *testing.T) {
	w := onboarding.NewWizard(onboarding.Answers{}, known)
	if err := w.Next(); err == nil {
		t.Fatal("went on without a tenant")
	}
	w.Tenant = "acme"
	step(t, w, onboarding.StepName)
	if err := w.Next(); err == nil || !strings.Contains(err.Error(), "name") {
		t.Fatalf("went on without a name: %v", err)
	}
	w.Name, w.Partition = " HQ Sync ", "paris"
	step(t, w, onboarding.StepGateway)
	w.GatewayAddr = "nowhere"
	if err := w.Next(); err == nil {
		t.Fatal("went on with an address without a port")
	}
	w.GatewayAddr = "10.0.0.1:50052"
	step(t, w, onboarding.StepMode)
	step(t, w, onboarding.StepReview)
	for w.Back() {
	}
	if w.Step() != onboarding.StepTenant || w.Name != "HQ Sync" || w.Partition != "paris" || w.GatewayAddr != "10.0.0.1:50052" {
		t.Errorf("back at %v with %+v", w.Step(), w.Answers)
	}
	if got := w.Command(); got != "edgesync onboard --tenant acme --name 'HQ Sync' --partition paris --gateway-addr 10.0.0.1:50052 --out . --no-input" {
		t.Errorf("the command is %s", got)
	}
	if w.Component() != "hq-sync" {
		t.Errorf("the component is %q", w.Component())
	}
}

func step(t *testing.T, w *onboarding.Wizard, want onboarding.Step) {
	t.Helper()
	if err := w.Next(); err != nil {
		t.Fatal(err)
	}
	if w.Step() != want {
		t.Fatalf("at %v, want %v", w.Step(), want)
	}
}

func TestWizardOnceConfirmedDoesNotGoBack(t *testing.T) {
	w := onboarding.NewWizard(onboarding.Answers{Tenant: "acme", Name: "hq"}, known)
	for w.Step() != onboarding.StepProgress {
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if w.Back() {
		t.Error("went back while it is under way")
	}
	if err := w.Next(); err == nil {
		t.Error("confirmed twice")
	}
	w.Finish(onboarding.Onboarded{}, errors.New("refused"))
	if w.Step() != onboarding.StepReview || w.Err() == nil || !w.Back() {
		t.Errorf("after a failure at %v, %v", w.Step(), w.Err())
	}
}

// signer refuses, and counts how often it was asked.
type signer struct{ asked int }

func (s *signer) OnboardService(context.Context, *adminv1.OnboardServiceRequest, ...grpc.CallOption) (*adminv1.OnboardServiceResponse, error) {
	s.asked++
	return nil, errors.New("refused")
}

func (s *signer) CreateJoinToken(context.Context, *adminv1.CreateJoinTokenRequest, ...grpc.CallOption) (*adminv1.CreateJoinTokenResponse, error) {
	s.asked++
	return nil, errors.New("refused")
}

func TestOnboardAsksNobodyWhereThePackageCannotBeWritten(t *testing.T) {
	s := &signer{}
	_, err := onboarding.Onboard(t.Context(), s, onboarding.Answers{Tenant: "acme", Name: "hq", Out: "/dev/null/packages"})
	if err == nil || s.asked != 0 {
		t.Errorf("asked %d times, %v", s.asked, err)
	}
}

func TestOnboardLeavesNoFolderOfARefusal(t *testing.T) {
	s, dir := &signer{}, t.TempDir()+"/out"
	if _, err := onboarding.Onboard(t.Context(), s, onboarding.Answers{Tenant: "acme", Name: "hq", Out: dir + "/of/hq"}); err == nil {
		t.Fatal("not refused")
	}
	if files := glob(t, dir+"*"); len(files) != 0 {
		t.Errorf("left %v", files)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
