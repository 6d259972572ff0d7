package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/identity"
	"edgesync/cmd/state"
	"edgesync/onboarding"
	"edgesync/onboarding/doctor"
	adminv1 "edgesync/proto/admin/v1"
	"edgesync/seal"
)

// examinePlatform looks at the state directory, and through whoever has it open
// at the platform.
func examinePlatform(ctx context.Context, opts *Options, dir string) []doctor.Finding {
	findings := []doctor.Finding{examineDir(dir, opts.UID), examineKeyset(dir)}
	for _, folder := range identity.ServerFolders(dir) {
		findings = append(findings, examineServer(folder, opts.Now())...)
	}
	client, err := opts.Admin(ctx)
	var platform *adminv1.Platform
	if err == nil {
		platform, err = client.GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	}
	if err != nil {
		return append(findings, doctor.Finding{
			Check: "platform", Result: doctor.Problem, Detail: cmdutil.ErrorLine(err), Mend: "see that the keyset and the store are those of this platform",
		})
	}
	findings = append(findings, doctor.Finding{
		Check: "platform", Result: doctor.OK,
		Detail: "it opens; trust domain " + platform.GetTrustDomain() + ", gateway " + platform.GetGatewayAddr(),
	})
	return append(findings, examineAuthorities(ctx, client, opts.Now()), examineRenewals(ctx, client, opts.Now()), examineRotation(ctx, client), examineRestorations(ctx, client))
}

func examineDir(dir string, uid int) doctor.Finding {
	f := doctor.Finding{Check: "state-directory", Result: doctor.OK, Detail: dir + " is its owner's alone"}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		f.Result, f.Detail, f.Mend = doctor.Problem, err.Error(), fmt.Sprintf("let user %d read it", uid)
	case info.Mode().Perm()&0o077 != 0:
		f.Result, f.Detail, f.Mend = doctor.Warning, fmt.Sprintf("%s has mode %#o: others can look into it", dir, info.Mode().Perm()), "chmod 700 "+dir
	}
	return f
}

func examineKeyset(dir string) doctor.Finding {
	f := doctor.Finding{Check: "keyset", Result: doctor.OK}
	path, err := state.KeysetFile(dir)
	if err == nil {
		_, err = seal.Open(path)
	}
	switch {
	case errors.Is(err, seal.ErrNotPrivate):
		f.Result, f.Detail = doctor.Problem, err.Error()
		f.Mend = "chmod 600 " + path + "; if others can have read it, the platform's keys and credentials are known to whoever also has its store"
	case err != nil:
		f.Result, f.Detail, f.Mend = doctor.Problem, err.Error(), "restore it from a backup: nothing the platform has sealed opens without it"
	default:
		f.Detail = path + " is its owner's alone: keep a copy of it elsewhere"
	}
	return f
}

// examineServer looks at the identity of one of the platform's servers; there is
// none before serve has run.
func examineServer(folder string, now time.Time) []doctor.Finding {
	f := doctor.Finding{Check: filepath.Base(folder) + "-identity", Result: doctor.OK}
	paths := onboarding.PathsIn(folder)
	found, err := onboarding.LoadIdentity(paths)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, onboarding.ErrNotPrivate):
		f.Result, f.Detail, f.Mend = doctor.Problem, err.Error(), "remove "+folder+" and restart `edgesync serve`, which makes another: whoever has read the key can pose as the platform until then"
		return []doctor.Finding{f}
	case err != nil:
		f.Result, f.Detail, f.Mend = doctor.Problem, err.Error(), "remove "+folder+" and restart `edgesync serve`, which makes another"
		return []doctor.Finding{f}
	}
	leaf := found.Chain[0]
	f.Detail = "it is good until " + leaf.NotAfter.UTC().Format(time.RFC3339)
	if now.After(identity.RenewAt(leaf).Add(time.Hour)) {
		f.Result, f.Detail = doctor.Warning, "it was due to be renewed on "+identity.RenewAt(leaf).UTC().Format(time.RFC3339)
		f.Mend = "`edgesync serve` renews it as long as it runs, and when it starts: see its log"
	}
	return []doctor.Finding{f}
}

// lastYear is when it is time to think of replacing an authority.
const lastYear = 365 * 24 * time.Hour

func examineAuthorities(ctx context.Context, client adminv1.AdminClient, now time.Time) doctor.Finding {
	f := doctor.Finding{Check: "authorities", Result: doctor.OK}
	answer, err := client.ListAuthorities(ctx, &adminv1.ListAuthoritiesRequest{})
	if err != nil {
		f.Result, f.Detail, f.Mend = doctor.Problem, cmdutil.ErrorLine(err), "see the platform's log"
		return f
	}
	count, soon := 0, ""
	for _, a := range answer.GetAuthorities() {
		if a.GetState() != "active" {
			continue
		}
		count++
		if end := a.GetNotAfter().AsTime(); soon == "" && end.Sub(now) < lastYear {
			of, flag := "the root", "--root"
			if a.GetTenant() != "" {
				of, flag = "that of tenant "+a.GetTenant(), "--tenant "+a.GetTenant()
			}
			f.Result, soon = doctor.Warning, of
			f.Detail, f.Mend = fmt.Sprintf("%s ends on %s", of, end.Format(time.DateOnly)), "replace it in good time: `edgesync cert rotate-ca "+flag+"`"
			if !now.Before(end) {
				f.Result = doctor.Problem
			}
		}
	}
	if soon == "" {
		f.Detail = fmt.Sprintf("%d in use, each good for a year and more", count)
	}
	return f
}

// examineRenewals looks for who should have renewed and has not.
func examineRenewals(ctx context.Context, client adminv1.AdminClient, now time.Time) doctor.Finding {
	f := doctor.Finding{Check: "renewals", Result: doctor.OK, Detail: "every identity in use is renewed in time"}
	answer, err := client.ListCertificates(ctx, &adminv1.ListCertificatesRequest{})
	if err != nil {
		f.Result, f.Detail, f.Mend = doctor.Problem, cmdutil.ErrorLine(err), "see the platform's log"
		return f
	}
	var late []string
	for _, c := range answer.GetCertificates() {
		begin, end := c.GetIssuedAt().AsTime(), c.GetNotAfter().AsTime()
		if c.GetType() != "gateway" && end.Sub(now) < end.Sub(begin)/5 {
			late = append(late, fmt.Sprintf("%s of tenant %s (ends on %s)", c.GetComponentId(), c.GetTenant(), end.Format(time.RFC3339)))
		}
	}
	if len(late) > 0 {
		f.Result = doctor.Warning
		f.Detail = fmt.Sprintf("%d should have renewed: %s", len(late), strings.Join(late[:min(len(late), 3)], ", "))
		f.Mend = "see that they run and reach the enrolment CA: `edgesync doctor` on their hosts"
	}
	return f
}

// examineRotation looks for who has to renew before a rotation's overlap ends.
func examineRotation(ctx context.Context, client adminv1.AdminClient) doctor.Finding {
	f := doctor.Finding{Check: "rotation", Result: doctor.OK, Detail: "nobody holds a certificate of an authority that was replaced"}
	answer, err := client.ListCertificates(ctx, &adminv1.ListCertificatesRequest{Old: true})
	switch {
	case err != nil:
		f.Result, f.Detail, f.Mend = doctor.Problem, cmdutil.ErrorLine(err), "see the platform's log"
	case len(answer.GetCertificates()) > 0:
		f.Result = doctor.Warning
		f.Detail = "certificates from before a rotation still in use: " + strconv.Itoa(len(answer.GetCertificates()))
		f.Mend = "see who with `edgesync cert list --old` and until when with `edgesync cert list --authorities`"
	}
	return f
}
