package ca

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
	"github.com/smallstep/nosql/database"
	"go.step.sm/crypto/jose"
	"golang.org/x/crypto/ssh"

	"edgesync/certs"
)

const (
	// recordsTimeout bounds a step's question: its interface carries no context.
	recordsTimeout = 10 * time.Second
	// revokedListLife is how long a list of revoked certificates may be used, and
	// revokedListFresh how long one that was made is given out.
	revokedListLife  = 24 * time.Hour
	revokedListFresh = 10 * time.Second
)

// records is step's database of one tenant.
type records struct {
	platform    Platform
	tenant      Tenant
	keys        Keys
	provisioner string
	now         func() time.Time

	mu   sync.Mutex
	list *db.CertificateRevocationListInfo
	made time.Time
}

var (
	_ db.AuthDB                      = (*records)(nil)
	_ db.CertificateRevocationListDB = (*records)(nil)
)

// KeyHash is how a public key is recorded: the SHA-256 of its DER, hex.
func KeyHash(publicKey []byte) string {
	sum := sha256.Sum256(publicKey)
	return hex.EncodeToString(sum[:])
}

func asked() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), recordsTimeout)
}

// IsRevoked implements db.AuthDB. A serial the tenant never issued is revoked.
func (r *records) IsRevoked(serial string) (bool, error) {
	ctx, cancel := asked()
	defer cancel()
	record, err := r.platform.Certificate(ctx, r.tenant.ID, serial)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return record.Revoked, err
}

// Revoke implements db.AuthDB.
func (r *records) Revoke(info *db.RevokedCertificateInfo) error {
	ctx, cancel := asked()
	defer cancel()
	err := r.platform.Revoke(ctx, r.tenant.ID, info.Serial, info.Reason)
	if errors.Is(err, ErrRefused) {
		return db.ErrAlreadyExists
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
	return nil
}

// UseToken implements db.AuthDB for the tokens that step itself takes: renewal
// and revocation. Join tokens are redeemed before step sees them.
func (r *records) UseToken(id, text string) (bool, error) {
	until, err := endOf(text)
	if err != nil {
		return false, err
	}
	ctx, cancel := asked()
	defer cancel()
	return r.platform.UseOnce(ctx, r.tenant.ID, KeyHash([]byte(id)), until)
}

// endOf is when a token ends that was found to end soon.
func endOf(text string) (time.Time, error) {
	token, err := jose.ParseSigned(text)
	if err != nil {
		return time.Time{}, errors.New("read token: it is damaged")
	}
	var claims jose.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil || claims.Expiry == nil {
		return time.Time{}, errors.New("read token: it does not say when it ends")
	}
	return claims.Expiry.Time().Add(time.Minute), nil
}

// StoreCertificateChain is called by step with what a join token was exchanged
// for, before it is handed out.
func (r *records) StoreCertificateChain(_ provisioner.Interface, chain ...*x509.Certificate) error {
	return r.issue(chain[0], nil)
}

// StoreRenewedCertificate is called by step with a renewed certificate before it
// is handed out.
func (r *records) StoreRenewedCertificate(old *x509.Certificate, chain ...*x509.Certificate) error {
	return r.issue(chain[0], old)
}

func (r *records) issue(leaf, replaced *x509.Certificate) error {
	ctx, cancel := asked()
	defer cancel()
	return r.platform.Issue(ctx, r.tenant.ID, leaf, replaced)
}

// GetCertificateData tells step which provisioner a certificate is of: ours,
// whichever way it was issued, so that renewal always asks us.
func (r *records) GetCertificateData(string) (*db.CertificateData, error) {
	return &db.CertificateData{Provisioner: &db.ProvisionerData{ID: r.provisioner}}, nil
}

// GetCertificate implements db.AuthDB; certificates themselves are not kept.
func (r *records) GetCertificate(string) (*x509.Certificate, error) { return nil, db.ErrNotImplemented }

// GetCRL implements db.CertificateRevocationListDB: a list made now, or a moment
// ago.
func (r *records) GetCRL() (*db.CertificateRevocationListInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if age := now.Sub(r.made); r.list != nil && age >= 0 && age < revokedListFresh {
		return r.list, nil
	}
	ctx, cancel := asked()
	defer cancel()
	revoked, err := r.platform.Revoked(ctx, r.tenant.ID)
	if errors.Is(err, ErrNotFound) {
		return nil, database.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	list, err := r.revocationList(revoked, now)
	if err != nil {
		return nil, err
	}
	r.list, r.made = list, now
	return list, nil
}

func (r *records) revocationList(revoked []Revocation, now time.Time) (*db.CertificateRevocationListInfo, error) {
	template := &x509.RevocationList{
		// Numbers rise with time, over replicas and restarts.
		Number: big.NewInt(now.UnixNano()), ThisUpdate: now, NextUpdate: now.Add(revokedListLife),
	}
	for _, one := range revoked {
		serial, ok := new(big.Int).SetString(one.Serial, 10)
		if !ok {
			return nil, fmt.Errorf("list revoked certificates: %q is no serial number", one.Serial)
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: one.RevokedAt,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, r.keys.Issuer, r.keys.Signer)
	if err != nil {
		return nil, fmt.Errorf("sign list of revoked certificates: %w", err)
	}
	return &db.CertificateRevocationListInfo{
		Number: template.Number.Int64(), ExpiresAt: template.NextUpdate, Duration: revokedListLife, DER: der,
	}, nil
}

// The rest of step's interface is for what is not offered: lists made by step
// itself, and SSH.

// GetRevokedCertificates implements db.CertificateRevocationListDB.
func (r *records) GetRevokedCertificates() (*[]db.RevokedCertificateInfo, error) {
	return nil, db.ErrNotImplemented
}

// StoreCRL implements db.CertificateRevocationListDB.
func (r *records) StoreCRL(*db.CertificateRevocationListInfo) error { return db.ErrNotImplemented }

// IsSSHRevoked implements db.AuthDB.
func (r *records) IsSSHRevoked(string) (bool, error) { return true, nil }

// RevokeSSH implements db.AuthDB.
func (r *records) RevokeSSH(*db.RevokedCertificateInfo) error { return db.ErrNotImplemented }

// StoreSSHCertificate implements db.CertificateStorer's other half.
func (r *records) StoreSSHCertificate(*ssh.Certificate) error { return db.ErrNotImplemented }

// IsSSHHost implements db.AuthDB.
func (r *records) IsSSHHost(string) (bool, error) { return false, db.ErrNotImplemented }

// GetSSHHostPrincipals implements db.AuthDB.
func (r *records) GetSSHHostPrincipals() ([]string, error) { return nil, db.ErrNotImplemented }

// Shutdown implements db.AuthDB; the platform's store outlives an authority.
func (r *records) Shutdown() error { return nil }

// refusalReason is the counted reason in an error, if it has one.
func refusalReason(err error) string {
	var refusal *certs.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return ""
}
