package onboarding

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"edgesync/certs"
	adminv1 "edgesync/proto/admin/v1"
)

// Signer is what onboarding asks of the platform: a record and a signature.
type Signer interface {
	OnboardService(ctx context.Context, in *adminv1.OnboardServiceRequest, opts ...grpc.CallOption) (*adminv1.OnboardServiceResponse, error)
}

// Onboarded is a sync service with a new identity, and where its package is.
type Onboarded struct {
	Answer *adminv1.OnboardServiceResponse
	// Path of the edge package, absolute.
	Path string
	// InstallCommand is run on the edge host, beside the package.
	InstallCommand string
	// Fingerprint is the SHA-256 of the certificate, lower-case hex.
	Fingerprint         string
	NotBefore, NotAfter time.Time
}

// Onboard carries the answers out: it makes the key here, lets the platform
// record the service and sign its identity, and writes the edge package. That
// the package can be written is found out first: issuing an identity revokes
// the one before.
func Onboard(ctx context.Context, signer Signer, answers Answers) (Onboarded, error) {
	if answers.Out == "" {
		return Onboarded{}, errors.New("write edge package: no directory is named")
	}
	undo, err := prepareOut(answers.Out)
	if err != nil {
		return Onboarded{}, err
	}
	done, err := onboardInto(ctx, signer, answers)
	if err != nil {
		undo()
	}
	return done, err
}

func onboardInto(ctx context.Context, signer Signer, answers Answers) (Onboarded, error) {
	key, csr, err := NewKeyAndCSR()
	if err != nil {
		return Onboarded{}, err
	}
	answer, err := signer.OnboardService(ctx, &adminv1.OnboardServiceRequest{
		Tenant: answers.Tenant, Name: answers.Name, Partition: answers.Partition, Csr: csr, GatewayAddr: answers.GatewayAddr,
	})
	if err != nil {
		return Onboarded{}, err
	}
	identity, err := IssuedIdentity(key, answer.GetCertificate(), answer.GetCaUrl())
	if err != nil {
		return Onboarded{}, err
	}
	files, err := ServicePackage(answer, identity)
	if err != nil {
		return Onboarded{}, err
	}
	path, err := WritePackage(answers.Out, files)
	if err != nil {
		return Onboarded{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return Onboarded{}, fmt.Errorf("find edge package: %w", err)
	}
	leaf := identity.Chain[0]
	sum := sha256.Sum256(leaf.Raw)
	return Onboarded{
		Answer: answer, Path: path, InstallCommand: InstallCommand(answer.GetService().GetComponentId()),
		Fingerprint: hex.EncodeToString(sum[:]), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, nil
}

// IssuedIdentity puts a key together with the certificate that was signed for it.
func IssuedIdentity(key crypto.Signer, issued *adminv1.IssuedCertificate, caURL string) (Identity, error) {
	chain, err := certs.DecodePEM([]byte(issued.GetCertificateChainPem()))
	if err != nil {
		return Identity{}, fmt.Errorf("read issued certificate: %w", err)
	}
	cas, err := certs.DecodePEM([]byte(issued.GetCaChainPem()))
	if err != nil {
		return Identity{}, fmt.Errorf("read issued CA chain: %w", err)
	}
	return Identity{Key: key, Chain: chain, CAs: cas, CAURL: caURL}, nil
}

// ServicePackage are the files of the edge package of a service that was
// onboarded with this identity.
func ServicePackage(answer *adminv1.OnboardServiceResponse, identity Identity) ([]File, error) {
	service := answer.GetService()
	return PackageFiles(PackageInput{
		Name: service.GetName(), Tenant: service.GetTenant(), Partition: service.GetPartition(),
		Component: service.GetComponentId(), GatewayAddr: answer.GetGatewayAddr(), ServerName: answer.GetGatewayServerName(),
		Identity: identity,
	})
}

// InstallCommand is run on the edge host, beside the package. The component id
// is a label: it needs no quotes.
func InstallCommand(component string) string {
	archive := ArchiveName(component)
	return "tar -xzf " + archive + " && sudo ./" + strings.TrimSuffix(archive, ".tar.gz") + "/install.sh"
}

// prepareOut finds out that a package can be written. undo takes away a
// directory that it made and that stayed empty.
func prepareOut(dir string) (undo func(), err error) {
	undo = func() {}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		undo = func() { _ = os.Remove(dir) }
	}
	if err := probeOut(dir); err != nil {
		undo()
		return nil, fmt.Errorf("write edge package to %s: %w", dir, err)
	}
	return undo, nil
}

func probeOut(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".edge-package-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// CheckGateway says why nothing at addr answers as the platform's gateway, or
// nil. It shows no certificate: it only looks at the gateway's.
func CheckGateway(ctx context.Context, addr, serverName, rootPEM string) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(rootPEM)) {
		return errors.New("check gateway: the platform's root certificate is unreadable")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("nobody answers there: %w", err)
	}
	defer func() { _ = conn.Close() }()
	client := tls.Client(conn, &tls.Config{ServerName: serverName, RootCAs: roots, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}})
	if err := client.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("what answers there is not this platform's gateway: %w", err)
	}
	return nil
}
