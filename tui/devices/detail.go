package devices

import (
	"cmp"
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// newDetail tells what a device is, why it is one, and of every value which
// source says it. What operators merged can be taken back.
func newDetail(env *ui.Env, why *adminv1.DeviceExplanation) ui.Dialog {
	device := why.GetDetail().GetDevice()
	name := cmp.Or(device.GetHostname(), device.GetId())
	merged := slices.ContainsFunc(why.GetJoins(), func(j *adminv1.Join) bool { return j.GetRule() == "operator" })
	return &ui.Lines{
		Heading: name, Extra: []ui.Key{{Keys: "u", Does: "unmerge", Off: !merged}},
		Text: func(width int) []string { return explain(env, why, width) },
		On: func(key string) tea.Cmd {
			if key != "u" || !merged {
				return nil
			}
			return ui.Open(&ui.Confirm{
				Env: env, Verb: "unmerge", Question: "Take back all that operators merged into " + name + "?",
				Then: env.Do(func(ctx context.Context) tea.Msg {
					parted, err := env.Client.UnmergeDevice(ctx, &adminv1.UnmergeDeviceRequest{Tenant: device.GetTenant(), Id: device.GetId()})
					if err != nil {
						return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
					}
					return ui.ToastMsg{Text: "parted into " + ui.Plural(int64(len(parted.GetDevices())), "device")}
				}),
			})
		},
	}
}

func explain(env *ui.Env, why *adminv1.DeviceExplanation, width int) []string {
	s := &env.Styles
	lines := record(env, why.GetDetail().GetDevice(), width)
	lines = append(lines, "", s.Bold.Render("Why it is one device"))
	lines = append(lines, joins(env, why, width)...)
	lines = append(lines, "", s.Bold.Render("Why it is this: who says what"))
	for _, f := range why.GetFields() {
		lines = append(lines, s.Label.Render(ui.Fit(ui.Clean(f.GetField()), 16))+" "+ui.Fit(ui.Clean(f.GetValue()), 28)+" "+
			s.Good.Render(ui.Cut(ui.Clean(f.GetFrom().GetSource()), max(width-46, 4))))
	}
	lines = append(lines, "", s.Bold.Render("What each source says"))
	for _, a := range why.GetDetail().GetAssertions() {
		lines = append(lines, assertion(env, a, width)...)
	}
	if len(why.GetDecisions()) > 0 {
		lines = append(lines, "", s.Bold.Render("What was decided, the latest first"))
	}
	for i := len(why.GetDecisions()) - 1; i >= 0; i-- {
		lines = append(lines, decision(env, why.GetDecisions()[i], width))
	}
	return lines
}

// joins are the reasons for its assertions to be one device, and what links
// nobody.
func joins(env *ui.Env, why *adminv1.DeviceExplanation, width int) []string {
	s := &env.Styles
	var lines []string
	for _, j := range why.GetJoins() {
		text := j.GetRule() + " " + j.GetIdentifier().GetValue()
		if j.GetRule() == "operator" {
			text = "operator " + j.GetBy() + ": " + j.GetReason()
		}
		lines = append(lines, ui.Cut(s.Good.Render("= ")+ui.Clean(text)+s.Dim.Render("  "+ui.Clean(refs(j.GetAssertions()))), width))
	}
	for _, d := range why.GetRefused() {
		lines = append(lines, s.Warn.Render("≠ ")+decision(env, d, width-2))
	}
	for _, k := range why.GetKeptApart() {
		lines = append(lines, ui.Cut(s.Warn.Render("≠ ")+ui.Clean("kept apart from "+k.GetOtherHomeId()+" by "+k.GetBy()+": "+k.GetReason()), width))
	}
	if len(lines) == 0 {
		lines = append(lines, s.Dim.Render("one assertion: there is nothing to join"))
	}
	return lines
}

func refs(assertions []*adminv1.AssertionRef) string {
	parts := make([]string, len(assertions))
	for i, a := range assertions {
		parts[i] = a.GetSource() + "/" + a.GetKey()
	}
	return strings.Join(parts, " + ")
}

func decision(env *ui.Env, d *adminv1.Decision, width int) string {
	text := d.GetKind() + " by " + d.GetRule()
	for _, i := range d.GetIdentifiers() {
		text += ", " + i.GetKind() + " " + i.GetValue()
	}
	if d.GetReason() != "" {
		text += ": " + d.GetReason()
	}
	if d.GetAt() != nil {
		text = ui.Fit(ui.Ago(d.GetAt(), env.Now()), 8) + " " + text
	}
	return ui.Cut(ui.Clean(text), width)
}

func record(env *ui.Env, d *adminv1.Device, width int) []string {
	s, now := &env.Styles, env.Now()
	state := d.GetState()
	if d.GetAvailable() {
		state += ", available"
	}
	var lines []string
	for _, pair := range [][2]string{
		{"id", d.GetId()}, {"tenant", d.GetTenant() + ", partition " + d.GetPartition()}, {"state", state},
		{"made by", strings.TrimSpace(d.GetManufacturer() + " " + d.GetModel())}, {"system", d.GetOperatingSystem()},
		{"type", d.GetDeviceType()}, {"site", d.GetSite()}, {"tags", strings.Join(d.GetTags(), ", ")},
		{"first seen", ui.Ago(d.GetFirstSeen(), now)}, {"last seen", ui.Ago(d.GetLastSeen(), now)},
	} {
		if pair[1] != "" {
			lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
		}
	}
	return lines
}

func assertion(env *ui.Env, a *adminv1.Assertion, width int) []string {
	s := &env.Styles
	head := s.Accent.Render(ui.Clean(a.GetSource())) + " " + s.Dim.Render("as ") + ui.Clean(a.GetKey())
	if a.GetState() == "retracted" {
		head += s.Warn.Render("  retracted")
	}
	lines := []string{ui.Cut(head, width), ui.Pair(s, "  last seen", ui.Ago(a.GetLastSeen(), env.Now())+", run "+a.GetRunId(), width)}
	if a.GetHomeId() != "" {
		lines = append(lines, ui.Pair(s, "  home id", a.GetHomeId(), width))
	}
	keys := make([]string, 0, len(a.GetMetadata()))
	for key := range a.GetMetadata() {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		lines = append(lines, ui.Pair(s, "  "+ui.Clean(key), a.GetMetadata()[key], width))
	}
	return lines
}
