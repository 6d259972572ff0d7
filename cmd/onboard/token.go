package onboard

import (
	"context"
	"path/filepath"

	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/cmd/cmdutil"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// tokenRun mints a token and writes or prints it.
func tokenRun(ctx context.Context, opts *Options, client adminv1.AdminClient) error {
	undo := func() {}
	if opts.OutGiven {
		var err error
		if undo, err = prepareOut(opts.Out); err != nil {
			return err
		}
	}
	request := &adminv1.CreateJoinTokenRequest{
		Tenant: opts.Tenant, Name: opts.Name, Partition: opts.Partition, GatewayAddr: opts.GatewayAddr,
	}
	if opts.TTL != 0 {
		request.Ttl = durationpb.New(opts.TTL)
	}
	answer, err := client.CreateJoinToken(ctx, request)
	if err != nil {
		undo()
		return err
	}
	path := ""
	if opts.OutGiven {
		if path, err = onboarding.WriteToken(opts.Out, answer.GetService().GetComponentId(), answer.GetToken()); err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			undo()
			return err
		}
	}
	return reportToken(opts, answer, path)
}

func reportToken(opts *Options, answer *adminv1.CreateJoinTokenResponse, path string) error {
	service := answer.GetService()
	d := document{
		ComponentID: service.GetComponentId(), Tenant: service.GetTenant(), TenantID: service.GetTenantId(),
		ServiceID: service.GetId(), Name: service.GetName(), Partition: answer.GetJoinToken().GetPartition(),
		GatewayAddr: answer.GetGatewayAddr(), Mode: modeToken, Path: path,
		ExpiresAt:      cmdutil.Time(answer.GetJoinToken().GetExpiresAt()),
		InstallCommand: enrollCommand(path),
	}
	if path == "" {
		d.Token = answer.GetToken()
	}
	return cmdutil.PrintOne(opts.IO, opts.Format, []cmdutil.Column[document]{
		{Title: "sync service", Value: func(d document) string { return d.Name + " (" + d.ComponentID + ") of tenant " + d.Tenant }},
		{Title: "gateway", Value: func(d document) string { return d.GatewayAddr }},
		{Title: "join token", Value: func(d document) string { return d.Path + d.Token }},
		{Title: "good until", Value: func(d document) string { return cmdutil.Date(d.ExpiresAt) }},
		{Title: "on the edge host", Value: func(d document) string { return d.InstallCommand }},
	}, d)
}

// enrollCommand is run on the edge host. The token is not in it: arguments can be
// read by everybody on a host.
func enrollCommand(path string) string {
	if path == "" {
		return "sudo edgesync enroll --install --token-file -"
	}
	// The file's name is made of a label: it needs no quotes.
	return "sudo edgesync enroll --install --token-file " + filepath.Base(path)
}
