package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/jose"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/proto/shell"
)

// entry is a tenant with the step authority that serves it.
type entry struct {
	tenant    Tenant
	issuer    *x509.Certificate
	tokenKey  *ecdsa.PublicKey
	authority *authority.Authority
}

// maxEntries bounds the authorities kept; one takes about 40 KB and 30 µs to make.
const maxEntries = 1024

// entries are the authorities made so far, by everything they are made of: one
// whose tenant has other keys now is never found again.
type entries struct {
	mu   sync.Mutex
	made map[string]*entry
}

func (e *entries) find(key string) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.made[key]
}

func (e *entries) keep(key string, made *entry) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	if there := e.made[key]; there != nil {
		return there
	}
	if e.made == nil {
		e.made = map[string]*entry{}
	}
	for old := range e.made {
		if len(e.made) < maxEntries {
			break
		}
		delete(e.made, old)
	}
	e.made[key] = made
	return made
}

// entry is the authority of a tenant as it is now.
func (s *Server) entry(ctx context.Context, tenant Tenant) (*entry, error) {
	roots, err := s.platform.Roots(ctx)
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	key := []string{tenant.ID.String(), tenant.Slug, tenant.IssuerKeyID, tenant.TokenKeyID, tenant.Life.String()}
	for _, root := range roots {
		key = append(key, certs.KeyID(root))
	}
	id := strings.Join(key, "|")
	if found := s.entries.find(id); found != nil {
		return found, nil
	}
	made, err := s.makeEntry(ctx, tenant, roots)
	if err != nil {
		return nil, fmt.Errorf("make authority of tenant %s: %w", tenant.Slug, err)
	}
	return s.entries.keep(id, made), nil
}

func (s *Server) makeEntry(ctx context.Context, tenant Tenant, roots []*x509.Certificate) (*entry, error) {
	keys, err := s.platform.Keys(ctx, tenant)
	if err != nil {
		return nil, err
	}
	provisioner, err := tokenProvisioner(tenant, keys.Token)
	if err != nil {
		return nil, err
	}
	guard := newGuard(tenant, keys, s.now)
	records := &records{platform: s.platform, tenant: tenant, keys: keys, provisioner: provisioner.GetID(), now: s.now}
	cfg := s.config(tenant, provisioner)
	made, err := authority.NewEmbedded(
		authority.WithConfig(cfg),
		authority.WithX509RootCerts(roots...),
		authority.WithX509CAService(guard),
		authority.WithX509IntermediateCerts(keys.Issuer),
		authority.WithDatabase(records),
		authority.WithAuthorizeRenewFunc(s.authorizeRenewal(tenant)),
		authority.WithQuietInit(),
	)
	if err != nil {
		return nil, err
	}
	// Lists of revoked certificates are made when asked for. Had step known of
	// them above, it would have started a goroutine for each tenant to make them.
	cfg.CRL = &config.CRLConfig{Enabled: true}
	return &entry{tenant: tenant, issuer: keys.Issuer, tokenKey: keys.Token, authority: made}, nil
}

func (s *Server) config(tenant Tenant, p *provisioner.JWK) *config.Config {
	return &config.Config{
		// The hosts that tokens may name as their audience.
		DNSNames: []string{s.host, tenant.Slug + "." + s.host},
		AuthorityConfig: &config.AuthConfig{
			Provisioners: provisioner.List{p},
			Backdate:     &provisioner.Duration{Duration: issue.Backdate},
			// Tokens outlive a restart: they are recorded when they are minted.
			DisableIssuedAtCheck: true,
		},
	}
}

// tokenProvisioner is what step knows join tokens by. It hands its key to
// nobody, and its template takes names from the token alone.
func tokenProvisioner(tenant Tenant, key *ecdsa.PublicKey) (*provisioner.JWK, error) {
	text, err := leafTemplate(tenant)
	if err != nil {
		return nil, err
	}
	life := provisioner.Duration{Duration: tenant.Life}
	shortest := provisioner.Duration{Duration: min(issue.MinLife, tenant.Life)}
	yes := true
	return &provisioner.JWK{
		Type: "JWK", Name: tenant.Slug,
		Key: &jose.JSONWebKey{Key: key, KeyID: tenant.TokenKeyID, Algorithm: jose.ES256, Use: "sig"},
		Claims: &provisioner.Claims{
			MinTLSDur: &shortest, MaxTLSDur: &life, DefaultTLSDur: &life,
			// Certificates look alike, whichever way they were issued.
			DisableSmallstepExtensions: &yes,
			AllowRenewalAfterExpiry:    &yes,
		},
		Options: &provisioner.Options{X509: &provisioner.X509Options{Template: text}},
	}, nil
}

// leafText is step's template of a certificate, made for one tenant. A token
// whose component or partition is no label has no certificate made of it.
var leafText = template.Must(template.New("leaf").Delims("[[", "]]").Parse(`{
{{- $label := "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }}
{{- if not (regexMatch $label (toString .Token.component_id)) }}{{ fail "component_id is no label" }}{{ end }}
{{- if not (regexMatch $label (toString .Token.partition)) }}{{ fail "partition is no label" }}{{ end }}
{{- $name := printf "%s.%s.[[ .Slug ]].[[ .TrustDomain ]]" .Token.component_id .Token.partition }}
	"subject": {"organization": "edgesync", "commonName": {{ toJson $name }}},
	"dnsNames": [{{ toJson $name }}],
	"uris": [{{ toJson (printf "spiffe://[[ .TrustDomain ]]/sync/[[ .Slug ]]/%s/%s" .Token.partition .Token.component_id) }}],
	"keyUsage": ["digitalSignature"],
	"extKeyUsage": ["clientAuth"],
	"basicConstraints": {"isCA": false, "maxPathLen": 0}
}`))

func leafTemplate(tenant Tenant) (string, error) {
	var out bytes.Buffer
	if err := leafText.Execute(&out, tenant); err != nil {
		return "", fmt.Errorf("make template: %w", err)
	}
	return out.String(), nil
}

// authorizeRenewal is asked by step once it knows that the certificate is not
// revoked: it has to be of this tenant's keys, and not ended for too long.
func (s *Server) authorizeRenewal(tenant Tenant) provisioner.AuthorizeRenewFunc {
	return func(_ context.Context, _ *provisioner.Controller, leaf *x509.Certificate) error {
		identity, err := s.identify(leaf)
		if err != nil {
			return err
		}
		if identity.TenantID != tenant.ID {
			return fmt.Errorf("renew certificate: it is of tenant %s, not of %s", identity.Tenant, tenant.Slug)
		}
		return nil
	}
}

// identify says who a certificate is that may have ended within RenewalGrace.
func (s *Server) identify(leaf *x509.Certificate) (certs.Identity, error) {
	now := s.now()
	if now.After(leaf.NotAfter) {
		if now.Sub(leaf.NotAfter) > RenewalGrace {
			return certs.Identity{}, fmt.Errorf("renew certificate: it ended at %s, more than %s ago", leaf.NotAfter.Format(time.RFC3339), shell.Duration(RenewalGrace))
		}
		now = leaf.NotAfter
	}
	return s.platform.Issuers().Identify([]*x509.Certificate{leaf}, now)
}
