// Package tenant is the commands on tenants.
package tenant

import (
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdTenant holds the verbs.
func NewCmdTenant(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("tenant", "Create, show, suspend and remove tenants",
		NewCmdCreate(f, nil),
		NewCmdList(f, nil),
		NewCmdShow(f, nil),
		NewCmdSuspend(f, nil),
		NewCmdResume(f, nil),
		NewCmdRemove(f, nil),
	)
}

// document is a tenant as scripts read it.
type document struct {
	ID           string     `json:"id"`
	Slug         string     `json:"slug"`
	Name         string     `json:"name"`
	IsPlatform   bool       `json:"is_platform"`
	State        string     `json:"state"`
	PlatformSync bool       `json:"platform_sync"`
	CreatedAt    *time.Time `json:"created_at"`
}

func newDocument(t *adminv1.Tenant) document {
	return document{
		ID: t.GetId(), Slug: t.GetSlug(), Name: t.GetName(), IsPlatform: t.GetIsPlatform(),
		State: t.GetState(), PlatformSync: t.GetPlatformSync(), CreatedAt: cmdutil.Time(t.GetCreatedAt()),
	}
}

func columns() []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "SLUG", Value: func(d document) string { return d.Slug }},
		{Title: "NAME", Value: func(d document) string { return d.Name }},
		{Title: "STATE", Value: func(d document) string { return d.State },
			Style: func(d document) string { return cmdutil.StateStyle(d.State) }},
		{Title: "KIND", Value: kind},
		{Title: "PLATFORM SYNC", Value: func(d document) string { return cmdutil.YesNo(d.PlatformSync) }},
		{Title: "CREATED", Value: func(d document) string { return cmdutil.Date(d.CreatedAt) }},
		{Title: "ID", Value: func(d document) string { return d.ID }},
	}
}

func kind(d document) string {
	if d.IsPlatform {
		return "platform"
	}
	return "tenant"
}
