// Package event is the commands on lifecycle and security events.
package event

import (
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/event/ocsf"
	adminv1 "edgesync/proto/admin/v1"
)

// NewCmdEvent holds the verbs.
func NewCmdEvent(f *cmdutil.Factory) *cobra.Command {
	return cmdutil.NewGroup("event", "List, follow and export lifecycle and security events",
		NewCmdList(f, nil),
		NewCmdTail(f, nil),
		NewCmdExport(f, nil),
	)
}

// hasOCSF is for commands that write events as OCSF has them.
var hasOCSF = map[string]string{string(cmdutil.FormatOCSF): "true"}

// printOCSF writes an event as one line of OCSF JSON.
func printOCSF(streams *cmdutil.IOStreams, e *adminv1.Event) error {
	line, err := ocsf.Of(e, 0).JSON()
	if err != nil {
		return err
	}
	_, err = streams.Out.Write(append(line, '\n'))
	return err
}

// document is an event as scripts read it.
type document struct {
	ID        string            `json:"id"`
	Time      *time.Time        `json:"time"`
	Tenant    string            `json:"tenant"`
	TenantID  string            `json:"tenant_id"`
	Type      string            `json:"type"`
	Severity  string            `json:"severity"`
	Actor     string            `json:"actor"`
	Origin    string            `json:"origin"`
	SourceID  string            `json:"source_id"`
	ServiceID string            `json:"service_id"`
	Message   string            `json:"message"`
	Details   map[string]string `json:"details"`
}

func newDocument(e *adminv1.Event) document {
	return document{
		ID: e.GetId(), Time: cmdutil.Time(e.GetTime()), Tenant: e.GetTenant(), TenantID: e.GetTenantId(),
		Type: e.GetType(), Severity: e.GetSeverity(), Actor: e.GetActor(), Origin: e.GetOrigin(),
		SourceID: e.GetSourceId(), ServiceID: e.GetServiceId(),
		Message: e.GetMessage(), Details: cmdutil.Map(e.GetDetails()),
	}
}

func columns() []cmdutil.Column[document] {
	return []cmdutil.Column[document]{
		{Title: "TIME", Value: func(d document) string { return cmdutil.Date(d.Time) }},
		{Title: "TENANT", Value: func(d document) string { return d.Tenant }},
		{Title: "SEVERITY", Value: func(d document) string { return d.Severity },
			Style: func(d document) string { return cmdutil.StateStyle(d.Severity) }},
		{Title: "TYPE", Value: func(d document) string { return d.Type }},
		{Title: "ACTOR", Value: func(d document) string { return d.Actor }},
		{Title: "MESSAGE", Value: func(d document) string { return d.Message }},
	}
}

// FilterFlags are the flags that event list and event tail share.
type FilterFlags struct {
	Tenant string
	Type   string
	Since  string
}

func (s *FilterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&s.Tenant, "tenant", "t", "", "only this tenant's (default: all tenants)")
	flags.StringVar(&s.Type, "type", "", "only events whose type begins with this, such as source. or security.")
	flags.StringVar(&s.Since, "since", "", "only later ones: a duration back from now such as 24h, or an RFC 3339 time")
}

func (s *FilterFlags) request(now time.Time) (*adminv1.ListEventsRequest, error) {
	request := &adminv1.ListEventsRequest{Tenant: s.Tenant, Type: s.Type}
	if s.Since == "" {
		return request, nil
	}
	if back, err := time.ParseDuration(s.Since); err == nil && back >= 0 {
		request.Since = timestamppb.New(now.Add(-back))
		return request, nil
	}
	since, err := time.Parse(time.RFC3339, s.Since)
	if err != nil {
		return nil, cmdutil.Usagef("--since %q: want a duration such as 24h or a time such as 2026-01-02T15:04:05Z", s.Since)
	}
	request.Since = timestamppb.New(since)
	return request, nil
}
