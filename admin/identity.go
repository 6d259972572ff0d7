package admin

import (
	"context"

	"edgesync/core"
	"edgesync/dire"
	adminv1 "edgesync/proto/admin/v1"
)

// namer is what operators call a source.
type namer func(source string) string

func same(source string) string { return source }

// ExplainDevice implements adminv1.AdminServer.
func (s *Server) ExplainDevice(ctx context.Context, req *adminv1.GetDeviceRequest) (*adminv1.DeviceExplanation, error) {
	why, err := s.core.Why(ctx, req.GetTenant(), req.GetId())
	if err != nil {
		return nil, err
	}
	name := namer(why.Name)
	answer := &adminv1.DeviceExplanation{Detail: detailMessage(why.DeviceDetail)}
	seen := map[dire.Identifier]bool{}
	for _, a := range why.Assertions {
		for _, identifier := range a.Identifiers {
			if identifier.Kind == dire.IdentifierWeakIP {
				identifier.Kind = dire.IdentifierIP
			}
			if !seen[identifier] {
				seen[identifier] = true
				answer.Identifiers = append(answer.Identifiers, identifierMessage(identifier))
			}
		}
	}
	for _, j := range why.Joins {
		join := &adminv1.Join{
			Rule: string(j.Rule), Assertions: name.refs(j.Assertions), At: at(j.At), By: j.By, Reason: j.Reason,
		}
		if j.Rule != dire.RuleOperator {
			join.Identifier = identifierMessage(j.Identifier)
		}
		answer.Joins = append(answer.Joins, join)
	}
	for _, l := range why.Apart {
		answer.KeptApart = append(answer.KeptApart, &adminv1.KeptApart{
			HomeId: l.A, OtherHomeId: l.B, At: at(l.At), By: l.By, Reason: l.Reason,
		})
	}
	for i := range why.Refused {
		answer.Refused = append(answer.Refused, name.decision(&why.Refused[i]))
	}
	for i := range why.Decisions {
		answer.Decisions = append(answer.Decisions, name.decision(&why.Decisions[i]))
	}
	for _, f := range why.Fields {
		answer.Fields = append(answer.Fields, &adminv1.FieldValue{Field: f.Field, Value: f.Value, From: name.ref(f.From)})
	}
	return answer, nil
}

// MergeDevices implements adminv1.AdminServer.
func (s *Server) MergeDevices(ctx context.Context, req *adminv1.MergeDevicesRequest) (*adminv1.DeviceDetail, error) {
	detail, err := s.core.MergeDevices(ctx, actor(ctx), req.GetTenant(), req.GetIds(), req.GetReason())
	if err != nil {
		return nil, err
	}
	return detailMessage(detail), nil
}

// UnmergeDevice implements adminv1.AdminServer.
func (s *Server) UnmergeDevice(ctx context.Context, req *adminv1.UnmergeDeviceRequest) (*adminv1.PartedDevices, error) {
	return partedMessage(s.core.UnmergeDevice(ctx, actor(ctx), req.GetTenant(), req.GetId(), req.GetFormerId(), req.GetReason()))
}

// SplitDevice implements adminv1.AdminServer.
func (s *Server) SplitDevice(ctx context.Context, req *adminv1.SplitDeviceRequest) (*adminv1.PartedDevices, error) {
	return partedMessage(s.core.SplitDevice(ctx, actor(ctx), req.GetTenant(), req.GetId(), req.GetMembers(), req.GetReason()))
}

// ListDuplicates implements adminv1.AdminServer.
func (s *Server) ListDuplicates(ctx context.Context, req *adminv1.ListDuplicatesRequest) (*adminv1.ListDuplicatesResponse, error) {
	found, err := s.core.Duplicates(ctx, req.GetTenant(), int(req.GetLimit()))
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListDuplicatesResponse{}
	for _, d := range found {
		answer.Duplicates = append(answer.Duplicates, &adminv1.Duplicate{
			Tenant: d.Tenant.Slug, Kind: d.Kind, Partition: d.Partition, Value: d.Value, Count: d.Count, Devices: d.Devices,
		})
	}
	return answer, nil
}

// SimulateRules implements adminv1.AdminServer.
func (s *Server) SimulateRules(ctx context.Context, req *adminv1.SimulateRulesRequest) (*adminv1.SimulateRulesResponse, error) {
	found, err := s.core.Simulate(ctx, req.GetTenant(), core.RuleChange{
		JunkSerials: req.GetJunkSerials(), JunkManufacturers: req.GetJunkManufacturers(),
		TrustedSerials: req.GetTrustedSerials(), IgnoredMACs: req.GetIgnoredMacs(), IgnoreSerials: req.GetIgnoreSerials(),
	})
	if err != nil {
		return nil, err
	}
	return &adminv1.SimulateRulesResponse{
		DevicesNow: int64(found.Stored), DevicesThen: int64(found.Simulated),
		Merges: regroupMessages(found.Merges), Splits: regroupMessages(found.Splits),
	}, nil
}

func regroupMessages(groups []dire.Regroup) []*adminv1.Regroup {
	var messages []*adminv1.Regroup
	for _, g := range groups {
		messages = append(messages, &adminv1.Regroup{
			Device: g.Device, Devices: g.Devices, Identifiers: identifierMessages(g.Identifiers),
			Assertions: namer(same).refs(g.Assertions),
		})
	}
	return messages
}

func partedMessage(parts []core.DeviceDetail, err error) (*adminv1.PartedDevices, error) {
	if err != nil {
		return nil, err
	}
	answer := &adminv1.PartedDevices{}
	for _, part := range parts {
		answer.Devices = append(answer.Devices, detailMessage(part))
	}
	return answer, nil
}

func (name namer) ref(ref dire.Ref) *adminv1.AssertionRef {
	return &adminv1.AssertionRef{Source: name(ref.Source), SourceId: ref.Source, Key: ref.Key}
}

func (name namer) refs(refs []dire.Ref) []*adminv1.AssertionRef {
	var messages []*adminv1.AssertionRef
	for _, ref := range refs {
		messages = append(messages, name.ref(ref))
	}
	return messages
}

func (name namer) decision(d *dire.Decision) *adminv1.Decision {
	message := &adminv1.Decision{
		Kind: string(d.Kind), Rule: string(d.Rule), At: at(d.At), Runs: d.Runs, By: d.By, Reason: d.Reason,
		Device: d.Device, Devices: d.Devices, Identifiers: identifierMessages(d.Identifiers), Assertions: name.refs(d.Assertions),
	}
	if d.Source != "" {
		message.Source = name(d.Source)
	}
	return message
}

func identifierMessage(i dire.Identifier) *adminv1.Identifier {
	return &adminv1.Identifier{Kind: string(i.Kind), Value: i.Value}
}

func identifierMessages(identifiers []dire.Identifier) []*adminv1.Identifier {
	var messages []*adminv1.Identifier
	for _, i := range identifiers {
		messages = append(messages, identifierMessage(i))
	}
	return messages
}
