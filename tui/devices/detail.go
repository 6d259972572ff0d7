package devices

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// detail tells what a device is, why it is one, and of every value which source
// says it. What operators merged can be taken back, and members parted.
type detail struct {
	*ui.Lines
	env        *ui.Env
	tenant, id string
	why        *adminv1.DeviceExplanation
	err        string
}

type explainedMsg struct {
	dialog *detail
	why    *adminv1.DeviceExplanation
	err    error
}

func openDetail(env *ui.Env, tenant, id string) tea.Cmd {
	d := &detail{env: env, tenant: tenant, id: id}
	d.Lines = &ui.Lines{Env: env, Self: d, Sheet: true, Text: d.text, Extra: d.extra, On: d.press, Heard: d.heard}
	return env.OpenAnd(d, d.read())
}

func (d *detail) read() tea.Cmd {
	return d.env.Do(func(ctx context.Context) tea.Msg {
		why, err := d.env.Client.ExplainDevice(ctx, &adminv1.GetDeviceRequest{Tenant: d.tenant, Id: d.id})
		return explainedMsg{d, why, err}
	})
}

// Title implements ui.Dialog.
func (d *detail) Title() string {
	return "Device " + cmp.Or(d.why.GetDetail().GetDevice().GetHostname(), d.id)
}

func (d *detail) heard(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case explainedMsg:
		if msg.dialog == d {
			if d.why, d.err = msg.why, ""; msg.err != nil {
				d.err = ui.ErrorText(msg.err)
			}
		}
	case changedMsg:
		return d.read()
	}
	return nil
}

func (d *detail) text(width int) []string {
	switch {
	case d.err != "":
		lines := ui.Wrap("✗ "+d.err, width)
		for i, line := range lines {
			lines[i] = d.env.Styles.Bad.Render(line)
		}
		return lines
	case d.why == nil:
		return []string{d.env.Styles.Dim.Render("Reading …")}
	}
	return explain(d.env, d.why, width)
}

// merged tells whether operators have made it of several.
func (d *detail) merged() bool {
	return slices.ContainsFunc(d.why.GetJoins(), func(j *adminv1.Join) bool { return j.GetRule() == "operator" })
}

func (d *detail) extra() []ui.Key {
	off := d.env.Refusal(ui.Operator) != ""
	return []ui.Key{
		{Keys: "u", Does: "unmerge", Off: off || !d.merged()}, {Keys: "x", Does: "split", Off: off || len(d.why.GetDetail().GetAssertions()) < 2},
	}
}

func (d *detail) press(key string) tea.Cmd {
	what := map[string]string{"u": "unmerge", "x": "split"}[key]
	if what == "" || d.why == nil {
		return nil
	}
	if refusal := d.env.Refusal(ui.Operator); refusal != "" {
		return ui.Refuse(what, refusal)
	}
	switch {
	case key == "x" && len(d.why.GetDetail().GetAssertions()) < 2:
		return ui.Refuse(what, "only one source says anything of it: there is nothing to part")
	case key == "x":
		return d.env.Open(newSplit(d.env, d.why.GetDetail()))
	case !d.merged():
		return ui.Refuse(what, "no operator has merged anything into it")
	}
	return d.env.Open(&ui.Confirm{
		Env: d.env, Heading: "Unmerge?", Verb: "unmerge", Question: "Take back all that operators merged into " + cmp.Or(d.why.GetDetail().GetDevice().GetHostname(), d.id) + "?",
		Then: d.env.Do(func(ctx context.Context) tea.Msg {
			parted, err := d.env.Client.UnmergeDevice(ctx, &adminv1.UnmergeDeviceRequest{Tenant: d.tenant, Id: d.id})
			if err != nil {
				return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
			}
			return changedMsg{"parted into " + ui.Plural(int64(len(parted.GetDevices())), "device")}
		}),
	})
}

func explain(env *ui.Env, why *adminv1.DeviceExplanation, width int) []string {
	s := &env.Styles
	lines := record(env, why, width)
	lines = append(lines, "", s.Bold.Render("Why it is one device"))
	lines = append(lines, joins(env, why, width)...)
	lines = append(lines, "", s.Bold.Render("Why it is this: who says what"))
	for _, f := range why.GetFields() {
		value := max(min(width-40, 60), 24)
		lines = append(lines, ui.Cut(s.Label.Render(ui.Fit(ui.Clean(f.GetField()), 16))+" "+ui.Fit(ui.Clean(f.GetValue()), value)+" "+
			s.Good.Render(ui.Clean(f.GetFrom().GetSource())), width))
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

func record(env *ui.Env, why *adminv1.DeviceExplanation, width int) []string {
	s, now, d := &env.Styles, env.Now(), why.GetDetail().GetDevice()
	state := d.GetState()
	if d.GetAvailable() {
		state += ", available"
	}
	var identifiers []string
	for _, i := range why.GetIdentifiers() {
		identifiers = append(identifiers, i.GetKind()+" "+i.GetValue())
	}
	var lines []string
	for _, pair := range [][2]string{
		{"id", d.GetId()}, {"tenant", d.GetTenant() + ", partition " + d.GetPartition()}, {"state", state},
		{"made by", strings.TrimSpace(d.GetManufacturer() + " " + d.GetModel())}, {"system", d.GetOperatingSystem()},
		{"type", d.GetDeviceType()}, {"site", d.GetSite()}, {"tags", strings.Join(d.GetTags(), ", ")},
		{"first seen", ui.Ago(d.GetFirstSeen(), now)}, {"last seen", ui.Ago(d.GetLastSeen(), now)},
		{"named by", strings.Join(d.GetSources(), ", ")},
	} {
		if pair[1] != "" {
			lines = append(lines, ui.Pair(s, pair[0], pair[1], width))
		}
	}
	label := "identifiers"
	for _, line := range ui.Wrap(ui.Clean(strings.Join(identifiers, ", ")), width-17) {
		lines = append(lines, ui.Pair(s, label, line, width))
		label = ""
	}
	return lines
}

func assertion(env *ui.Env, a *adminv1.Assertion, width int) []string {
	s := &env.Styles
	head := s.Accent.Render(ui.Clean(a.GetSource())) + " " + s.Dim.Render("as ") + ui.Clean(a.GetKey())
	if a.GetState() == "retracted" {
		head += s.Warn.Render("  retracted")
	}
	pairs := [][2]string{{"  last seen", ui.Ago(a.GetLastSeen(), env.Now()) + ", run " + a.GetRunId()}}
	if a.GetHomeId() != "" {
		pairs = append(pairs, [2]string{"  home id", a.GetHomeId()})
	}
	for _, key := range slices.Sorted(maps.Keys(a.GetMetadata())) {
		pairs = append(pairs, [2]string{"  " + key, a.GetMetadata()[key]})
	}
	return append([]string{ui.Cut(head, width)}, ui.Pairs(s, pairs, width)...)
}
