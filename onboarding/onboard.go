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
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/certs"
	adminv1 "edgesync/proto/admin/v1"
)

// Signer is what onboarding asks of the platform: a record, and a signature or a
// token.
type Signer interface {
	OnboardService(ctx context.Context, in *adminv1.OnboardServiceRequest, opts ...grpc.CallOption) (*adminv1.OnboardServiceResponse, error)
	CreateJoinToken(ctx context.Context, in *adminv1.CreateJoinTokenRequest, opts ...grpc.CallOption) (*adminv1.CreateJoinTokenResponse, error)
}

// Onboarded is a sync service, and what its host is to be given.
type Onboarded struct {
	Mode        string
	Service     *adminv1.SyncService
	Partition   string
	GatewayAddr string
	// Path of the edge package or of the token, absolute; empty for a token that
	// was not written.
	Path string
	// Token is a secret until it is redeemed; empty in ModePackage.
	Token string
	// InstallCommand is run on the edge host, beside the file.
	InstallCommand string
	// Fingerprint is the SHA-256 of the certificate, lower-case hex; empty in
	// ModeToken.
	Fingerprint string
	// ExpiresAt is until when the certificate, or the token, is good.
	ExpiresAt time.Time
}

// Onboard carries the answers out. That their result can be written is found out
// first: issuing an identity or minting a token revokes the one before.
func Onboard(ctx context.Context, signer Signer, answers Answers) (Onboarded, error) {
	if answers.Out == "" && answers.Mode != ModeToken {
		return Onboarded{}, errors.New("write edge package: no directory is named")
	}
	undo := func() {}
	if answers.Out != "" {
		var err error
		if undo, err = Prepare(answers.Out, 0o700); err != nil {
			return Onboarded{}, fmt.Errorf("%w: choose another directory", err)
		}
	}
	carry := packaged
	if answers.Mode == ModeToken {
		carry = tokened
	}
	done, err := carry(ctx, signer, answers)
	if err != nil {
		undo()
	}
	return done, err
}

// packaged makes the key here, lets the platform record the service and sign its
// identity, and writes the edge package.
func packaged(ctx context.Context, signer Signer, answers Answers) (Onboarded, error) {
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
		Mode: ModePackage, Service: answer.GetService(), Partition: answer.GetService().GetPartition(), GatewayAddr: answer.GetGatewayAddr(),
		Path: path, InstallCommand: InstallCommand(answer.GetService().GetComponentId()),
		Fingerprint: hex.EncodeToString(sum[:]), ExpiresAt: leaf.NotAfter,
	}, nil
}

// tokened lets the platform record the service and mint its token, and writes
// that where there is a directory for it.
func tokened(ctx context.Context, signer Signer, answers Answers) (Onboarded, error) {
	request := &adminv1.CreateJoinTokenRequest{
		Tenant: answers.Tenant, Name: answers.Name, Partition: answers.Partition, GatewayAddr: answers.GatewayAddr,
	}
	if answers.TTL != 0 {
		request.Ttl = durationpb.New(answers.TTL)
	}
	answer, err := signer.CreateJoinToken(ctx, request)
	if err != nil {
		return Onboarded{}, err
	}
	path := ""
	if answers.Out != "" {
		if path, err = WriteToken(answers.Out, answer.GetService().GetComponentId(), answer.GetToken()); err != nil {
			return Onboarded{}, err
		}
		if path, err = filepath.Abs(path); err != nil {
			return Onboarded{}, fmt.Errorf("find join token: %w", err)
		}
	}
	return Onboarded{
		Mode: ModeToken, Service: answer.GetService(), Partition: answer.GetJoinToken().GetPartition(), GatewayAddr: answer.GetGatewayAddr(),
		Path: path, Token: answer.GetToken(), InstallCommand: EnrollCommand(path), ExpiresAt: answer.GetJoinToken().GetExpiresAt().AsTime(),
	}, nil
}

// EnrollCommand is run on the edge host. The token is not in it: arguments can be
// read by everybody on a host.
func EnrollCommand(path string) string {
	if path == "" {
		return "sudo edgesync enroll --install --token-file -"
	}
	// The file's name is made of a label: it needs no quotes.
	return "sudo edgesync enroll --install --token-file " + filepath.Base(path)
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
