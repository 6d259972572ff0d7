package device

import (
	"context"
	"fmt"
	"strings"
	"time"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// explanation is a device with the reasons for what it is, as scripts read it.
type explanation struct {
	detail
	Identifiers []identifier `json:"identifiers"`
	Joins       []join       `json:"joins"`
	KeptApart   []keptApart  `json:"kept_apart"`
	Refused     []decision   `json:"refused"`
	Decisions   []decision   `json:"decisions"`
	Fields      []fieldValue `json:"fields"`
}

type identifier struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type assertionRef struct {
	Source   string `json:"source"`
	SourceID string `json:"source_id"`
	Key      string `json:"key"`
}

type join struct {
	Rule       string         `json:"rule"`
	Identifier *identifier    `json:"identifier"`
	Assertions []assertionRef `json:"assertions"`
	At         *time.Time     `json:"at"`
	By         string         `json:"by"`
	Reason     string         `json:"reason"`
}

type keptApart struct {
	HomeID      string     `json:"home_id"`
	OtherHomeID string     `json:"other_home_id"`
	At          *time.Time `json:"at"`
	By          string     `json:"by"`
	Reason      string     `json:"reason"`
}

type decision struct {
	Kind        string         `json:"kind"`
	Rule        string         `json:"rule"`
	At          *time.Time     `json:"at"`
	Source      string         `json:"source"`
	Runs        []string       `json:"runs"`
	By          string         `json:"by"`
	Reason      string         `json:"reason"`
	Device      string         `json:"device"`
	Devices     []string       `json:"devices"`
	Identifiers []identifier   `json:"identifiers"`
	Assertions  []assertionRef `json:"assertions"`
}

type fieldValue struct {
	Field  string `json:"field"`
	Value  string `json:"value"`
	Source string `json:"source"`
	Key    string `json:"key"`
}

func newIdentifiers(list []*adminv1.Identifier) []identifier {
	out := make([]identifier, 0, len(list))
	for _, i := range list {
		out = append(out, identifier{i.GetKind(), i.GetValue()})
	}
	return out
}

func newRefs(list []*adminv1.AssertionRef) []assertionRef {
	out := make([]assertionRef, 0, len(list))
	for _, r := range list {
		out = append(out, assertionRef{r.GetSource(), r.GetSourceId(), r.GetKey()})
	}
	return out
}

func newDecisions(list []*adminv1.Decision) []decision {
	out := make([]decision, 0, len(list))
	for _, d := range list {
		out = append(out, decision{
			Kind: d.GetKind(), Rule: d.GetRule(), At: cmdutil.Time(d.GetAt()), Source: d.GetSource(), Runs: cmdutil.List(d.GetRuns()),
			By: d.GetBy(), Reason: d.GetReason(), Device: d.GetDevice(), Devices: cmdutil.List(d.GetDevices()),
			Identifiers: newIdentifiers(d.GetIdentifiers()), Assertions: newRefs(d.GetAssertions()),
		})
	}
	return out
}

func newExplanation(x *adminv1.DeviceExplanation) explanation {
	out := explanation{
		detail: newDetail(x.GetDetail()), Identifiers: newIdentifiers(x.GetIdentifiers()),
		Joins: make([]join, 0, len(x.GetJoins())), KeptApart: make([]keptApart, 0, len(x.GetKeptApart())),
		Refused: newDecisions(x.GetRefused()), Decisions: newDecisions(x.GetDecisions()),
		Fields: make([]fieldValue, 0, len(x.GetFields())),
	}
	for _, j := range x.GetJoins() {
		one := join{Rule: j.GetRule(), Assertions: newRefs(j.GetAssertions()), At: cmdutil.Time(j.GetAt()), By: j.GetBy(), Reason: j.GetReason()}
		if i := j.GetIdentifier(); i != nil {
			one.Identifier = &identifier{i.GetKind(), i.GetValue()}
		}
		out.Joins = append(out.Joins, one)
	}
	for _, k := range x.GetKeptApart() {
		out.KeptApart = append(out.KeptApart, keptApart{
			HomeID: k.GetHomeId(), OtherHomeID: k.GetOtherHomeId(), At: cmdutil.Time(k.GetAt()), By: k.GetBy(), Reason: k.GetReason(),
		})
	}
	for _, f := range x.GetFields() {
		out.Fields = append(out.Fields, fieldValue{f.GetField(), f.GetValue(), f.GetFrom().GetSource(), f.GetFrom().GetKey()})
	}
	return out
}

// explain shows a device with the reasons for what it is.
func explain(ctx context.Context, opts *ShowOptions, client adminv1.AdminClient, found *adminv1.DeviceDetail) error {
	answer, err := client.ExplainDevice(ctx, &adminv1.GetDeviceRequest{
		Tenant: found.GetDevice().GetTenant(), Id: found.GetDevice().GetId(),
	})
	if err != nil {
		return err
	}
	x := newExplanation(answer)
	if !opts.Format.Human() {
		return cmdutil.PrintDocument(opts.IO, opts.Format, x)
	}
	if err := printDetail(opts.IO, opts.Format, opts.Now(), x.detail); err != nil {
		return err
	}
	return printReasons(opts, x)
}

func printReasons(opts *ShowOptions, x explanation) error {
	now := opts.Now()
	return all(
		func() error { return section(opts, "identifiers", identifierColumns(), x.Identifiers) },
		func() error { return section(opts, "what makes its assertions one", joinColumns(), x.Joins) },
		func() error { return section(opts, "kept apart by operators", apartColumns(now), x.KeptApart) },
		func() error { return section(opts, "what links nobody now", decisionColumns(now), x.Refused) },
		func() error { return section(opts, "decisions", decisionColumns(now), x.Decisions) },
		func() error { return section(opts, "where its values come from", fieldColumns(), x.Fields) },
	)
}

func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// section prints a list under a title, or nothing where it is empty.
func section[T any](opts *ShowOptions, title string, columns []cmdutil.Column[T], items []T) error {
	if len(items) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(opts.IO.Out, "\n%s:\n", title); err != nil {
		return err
	}
	return cmdutil.PrintList(opts.IO, opts.Format, columns, items)
}

func identifierColumns() []cmdutil.Column[identifier] {
	return []cmdutil.Column[identifier]{
		{Title: "KIND", Value: func(i identifier) string { return i.Kind }},
		{Title: "VALUE", Value: func(i identifier) string { return i.Value }},
	}
}

func joinColumns() []cmdutil.Column[join] {
	return []cmdutil.Column[join]{
		{Title: "RULE", Value: func(j join) string { return j.Rule }},
		{Title: "VALUE", Value: func(j join) string {
			if j.Identifier == nil {
				return ""
			}
			return j.Identifier.Value
		}},
		{Title: "ASSERTIONS", Value: func(j join) string { return refs(j.Assertions) }},
		{Title: "BY", Value: func(j join) string { return j.By }},
		{Title: "REASON", Value: func(j join) string { return j.Reason }},
	}
}

func apartColumns(now time.Time) []cmdutil.Column[keptApart] {
	return []cmdutil.Column[keptApart]{
		{Title: "ID", Value: func(k keptApart) string { return k.HomeID }},
		{Title: "OTHER ID", Value: func(k keptApart) string { return k.OtherHomeID }},
		{Title: "SINCE", Value: func(k keptApart) string { return cmdutil.Ago(k.At, now) }},
		{Title: "BY", Value: func(k keptApart) string { return k.By }},
		{Title: "REASON", Value: func(k keptApart) string { return k.Reason }},
	}
}

func decisionColumns(now time.Time) []cmdutil.Column[decision] {
	return []cmdutil.Column[decision]{
		{Title: "WHEN", Value: func(d decision) string { return cmdutil.Ago(d.At, now) }},
		{Title: "DECISION", Value: func(d decision) string { return d.Kind }},
		{Title: "RULE", Value: func(d decision) string { return d.Rule }},
		{Title: "EVIDENCE", Value: func(d decision) string {
			parts := make([]string, len(d.Identifiers))
			for i, one := range d.Identifiers {
				parts[i] = one.Kind + " " + one.Value
			}
			return strings.Join(parts, ", ")
		}},
		{Title: "ASSERTIONS", Value: func(d decision) string { return refs(d.Assertions) }},
		{Title: "RUNS", Value: func(d decision) string { return strings.Join(d.Runs, ", ") }},
		{Title: "DEVICE", Value: func(d decision) string { return d.Device }},
		{Title: "OTHERS", Value: func(d decision) string { return strings.Join(d.Devices, ", ") }},
		{Title: "BY", Value: func(d decision) string { return d.By }},
		{Title: "REASON", Value: func(d decision) string { return d.Reason }},
	}
}

func fieldColumns() []cmdutil.Column[fieldValue] {
	return []cmdutil.Column[fieldValue]{
		{Title: "FIELD", Value: func(f fieldValue) string { return f.Field }},
		{Title: "VALUE", Value: func(f fieldValue) string { return f.Value }},
		{Title: "SOURCE", Value: func(f fieldValue) string { return f.Source }},
		{Title: "KEY", Value: func(f fieldValue) string { return f.Key }},
	}
}

func refs(list []assertionRef) string {
	parts := make([]string, len(list))
	for i, r := range list {
		parts[i] = r.Source + "/" + r.Key
	}
	return strings.Join(parts, ", ")
}
