// Package identity keeps the identities that live in a platform's own state
// directory: the server certificates of the gateway and of the enrolment CA, and
// the package of the platform's sync service. Keys are made here; the admin API only signs. It knows nothing
// of the store.
package identity

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"time"

	"edgesync/certs"
	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// Where they are below the state directory.
const (
	gatewayDir      = "gateway"
	caDir           = "enrolment-ca"
	platformSyncDir = "platform-sync"
)

// ServerFolders are the folders of the platform's own servers.
func ServerFolders(stateDir string) []string {
	return []string{filepath.Join(stateDir, gatewayDir), filepath.Join(stateDir, caDir)}
}

// EnsureGateway returns the gateway's identity, and makes a new one when there
// is none or it will not do: another platform's, for other names, or with less
// than a third of its life left.
func EnsureGateway(ctx context.Context, client adminv1.AdminClient, stateDir string, now time.Time) (onboarding.Identity, bool, error) {
	return ensureServer(ctx, client, filepath.Join(stateDir, gatewayDir), "gateway", now, gatewayNames,
		func(csr []byte) (*adminv1.IssuedCertificate, error) {
			return client.IssueGateway(ctx, &adminv1.IssueGatewayRequest{Csr: csr})
		})
}

// EnsureCA returns the identity of the enrolment CA's listener, likewise.
func EnsureCA(ctx context.Context, client adminv1.AdminClient, stateDir string, now time.Time) (onboarding.Identity, bool, error) {
	return ensureServer(ctx, client, filepath.Join(stateDir, caDir), "enrolment CA", now, caNames,
		func(csr []byte) (*adminv1.IssuedCertificate, error) {
			return client.IssueEnrolmentCA(ctx, &adminv1.IssueEnrolmentCARequest{Csr: csr})
		})
}

func ensureServer(ctx context.Context, client adminv1.AdminClient, dir, what string, now time.Time,
	names func(*adminv1.Platform) []string, issue func(csr []byte) (*adminv1.IssuedCertificate, error)) (onboarding.Identity, bool, error) {
	platform, err := client.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	if err != nil {
		return onboarding.Identity{}, false, err
	}
	authorities, err := accepted(ctx, client, platform)
	if err != nil {
		return onboarding.Identity{}, false, err
	}
	present, err := load(onboarding.PathsIn(dir))
	if err != nil {
		return onboarding.Identity{}, false, fmt.Errorf("read identity of the %s: %w", what, err)
	}
	if present != nil && ofPlatform(*present, platform) && authorities[issuerOf(*present)] == active && answersTo(*present, names(platform)) && !due(present.Chain[0], now) {
		return *present, false, nil
	}
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		return onboarding.Identity{}, false, err
	}
	issued, err := issue(csr)
	if err != nil {
		return onboarding.Identity{}, false, err
	}
	made, err := New(key, issued, "")
	if err != nil {
		return onboarding.Identity{}, false, err
	}
	if err := onboarding.WriteIdentity(dir, made); err != nil {
		return onboarding.Identity{}, false, fmt.Errorf("write identity of the %s: %w", what, err)
	}
	return made, true, nil
}

// load reads an identity, nil when a part of it is missing or damaged. A key
// that others can read is an error: whoever has read it can pose as its owner.
func load(paths onboarding.Paths) (*onboarding.Identity, error) {
	found, err := onboarding.LoadIdentity(paths)
	switch {
	case err == nil:
		return &found, nil
	case errors.Is(err, onboarding.ErrNotPrivate):
		return nil, cmdutil.Errorf(cmdutil.ExitRefused, "%w", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, err
	}
	return nil, nil
}

// active is the state of the authority that issues now.
const active = "active"

// accepted are the states of the platform's own authorities that are accepted,
// by key id.
func accepted(ctx context.Context, client adminv1.AdminClient, platform *adminv1.Platform) (map[string]string, error) {
	answer, err := client.ListAuthorities(ctx, &adminv1.ListAuthoritiesRequest{Tenant: platform.GetPlatformSlug()})
	if err != nil {
		return nil, err
	}
	states := map[string]string{}
	for _, a := range answer.GetAuthorities() {
		if a.GetState() != "ended" {
			states[a.GetKeyId()] = a.GetState()
		}
	}
	return states, nil
}

// issuerOf is the key id of the authority that signed an identity.
func issuerOf(i onboarding.Identity) string { return hex.EncodeToString(i.Chain[0].AuthorityKeyId) }

// trusts says whether an identity knows one of the platform's roots: that in
// use, or one that is retiring.
func trusts(i onboarding.Identity, platform *adminv1.Platform) bool {
	roots, err := certs.DecodePEM([]byte(platform.GetRootPem()))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(roots, func(root *x509.Certificate) bool { return slices.ContainsFunc(i.CAs, root.Equal) })
}

func ofPlatform(i onboarding.Identity, platform *adminv1.Platform) bool {
	return i.RootFingerprint() == platform.GetRootFingerprint()
}

// gatewayNames are what the gateway's certificate must answer to; it may answer
// to more.
func gatewayNames(platform *adminv1.Platform) []string {
	names := []string{platform.GetGatewayServerName()}
	if host, _, err := net.SplitHostPort(platform.GetGatewayAddr()); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}

// caNames are the host of the enrolment CA and, where it is a name, any below it.
func caNames(platform *adminv1.Platform) []string {
	host, _, err := net.SplitHostPort(platform.GetCaAddr())
	if err != nil || host == "" {
		return nil
	}
	if net.ParseIP(host) != nil {
		return []string{host}
	}
	return []string{host, "tenant." + host}
}

func answersTo(i onboarding.Identity, names []string) bool {
	for _, name := range names {
		if i.Chain[0].VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// due is when a third of a certificate's life is left.
func due(leaf *x509.Certificate, now time.Time) bool {
	return now.After(RenewAt(leaf)) || now.Before(leaf.NotBefore)
}

// RenewAt is when a certificate is to be replaced.
func RenewAt(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}
