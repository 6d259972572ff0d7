package doctor

import (
	"context"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/onboarding/doctor"
	adminv1 "edgesync/proto/admin/v1"
)

// examineRestorations reminds of what was revoked before the platform was set
// back, and is not any more.
func examineRestorations(ctx context.Context, client adminv1.AdminClient) doctor.Finding {
	f := doctor.Finding{Check: "restore", Result: doctor.OK, Detail: "nothing is left to be revoked again after a restore"}
	answer, err := client.ListRestorations(ctx, &adminv1.ListRestorationsRequest{})
	if err != nil {
		f.Result, f.Detail, f.Mend = doctor.Problem, cmdutil.ErrorLine(err), "see the platform's log"
		return f
	}
	for _, r := range answer.GetRestorations() {
		if r.GetSettledAt() != nil {
			continue
		}
		f.Result = doctor.Warning
		f.Detail = "the platform was restored at " + r.GetRestoredAt().AsTime().Format(time.RFC3339) + " to what it was at " +
			r.GetBackupAt().AsTime().Format(time.RFC3339) + ": what was revoked, suspended or removed in between is not any more"
		f.Mend = "revoke, suspend and remove it again, then run `edgesync restore --settled`"
	}
	return f
}
