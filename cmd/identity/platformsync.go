package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// PlatformSyncConfig is where the minimal config of the platform's sync service is.
func PlatformSyncConfig(stateDir string) string {
	return filepath.Join(stateDir, platformSyncDir, filepath.FromSlash(onboarding.ConfigFile))
}

// EnsurePlatformSync writes the package of the platform's own sync service when
// there is none or it will not do: missing files, another platform's, one that
// was replaced by a later one, or expired. It never replaces one that works: a
// runtime may be using it, and its identity would be revoked.
func EnsurePlatformSync(ctx context.Context, client adminv1.AdminClient, stateDir string, now time.Time) (bool, error) {
	platform, err := client.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	if err != nil {
		return false, err
	}
	service, err := platformService(ctx, client, platform)
	if err != nil {
		return false, err
	}
	config := onboarding.NewConfig(service.GetComponentId(), service.GetPartition(), platform.GetGatewayAddr(), platform.GetGatewayServerName())
	certDir := filepath.Join(stateDir, platformSyncDir, onboarding.CertDir)
	present, err := load(onboarding.PathsIn(certDir))
	if err != nil {
		return false, fmt.Errorf("read identity of the platform's sync service: %w", err)
	}
	authorities, err := accepted(ctx, client, platform)
	if err != nil {
		return false, err
	}
	works := present != nil && trusts(*present, platform) && authorities[issuerOf(*present)] != "" &&
		present.Chain[0].SerialNumber.String() == service.GetCertSerial() && now.Before(present.Chain[0].NotAfter)
	if !works {
		if err := onboardPlatformSync(ctx, client, service, certDir); err != nil {
			return false, err
		}
	}
	wrote, err := ensureConfig(PlatformSyncConfig(stateDir), config)
	return wrote || !works, err
}

// platformService finds the record that bootstrapping made.
func platformService(ctx context.Context, client adminv1.AdminClient, platform *adminv1.Platform) (*adminv1.SyncService, error) {
	answer, err := client.ListServices(ctx, &adminv1.ListServicesRequest{Tenant: platform.GetPlatformSlug()})
	if err != nil {
		return nil, err
	}
	for _, service := range answer.GetServices() {
		if service.GetIsPlatformSync() {
			return service, nil
		}
	}
	return nil, cmdutil.Errorf(cmdutil.ExitConflict, "find sync service of the platform: its record is missing: the state is damaged, restore it from a backup")
}

func onboardPlatformSync(ctx context.Context, client adminv1.AdminClient, service *adminv1.SyncService, certDir string) error {
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		return err
	}
	answer, err := client.OnboardService(ctx, &adminv1.OnboardServiceRequest{
		Tenant: service.GetTenant(), Name: service.GetName(), Partition: service.GetPartition(), Csr: csr,
	})
	if err != nil {
		return err
	}
	made, err := New(key, answer.GetCertificate(), answer.GetCaUrl())
	if err != nil {
		return err
	}
	if err := onboarding.WriteIdentity(certDir, made); err != nil {
		return fmt.Errorf("write identity of the platform's sync service: %w", err)
	}
	return nil
}

// ensureConfig keeps a config that says what it must, whatever an operator
// added to it.
func ensureConfig(path string, want onboarding.MinimalConfig) (bool, error) {
	found, err := onboarding.LoadConfig(path)
	if errors.Is(err, fs.ErrPermission) {
		return false, err
	}
	if err == nil && found.AgentID == want.AgentID && found.Partition == want.Partition &&
		found.GatewayAddr == want.GatewayAddr && found.GatewaySecurity == want.GatewaySecurity {
		return false, nil
	}
	return true, onboarding.WriteConfig(path, want)
}
