package devices

import (
	"slices"
	"strings"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// newDetail tells what a device is, and of every value which source says it.
func newDetail(env *ui.Env, d *adminv1.DeviceDetail) ui.Dialog {
	name := d.GetDevice().GetHostname()
	if name == "" {
		name = d.GetDevice().GetId()
	}
	return &ui.Lines{Heading: name, Text: func(width int) []string {
		lines := record(env, d.GetDevice(), width)
		lines = append(lines, "", env.Styles.Bold.Render("Why it is this: who says what"))
		lines = append(lines, said(env, d, width)...)
		lines = append(lines, "", env.Styles.Bold.Render("What each source says"))
		for _, a := range d.GetAssertions() {
			lines = append(lines, assertion(env, a, width)...)
		}
		return lines
	}}
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

// said lists the identifying values with the sources behind each. One that
// several say is what makes them one device.
func said(env *ui.Env, d *adminv1.DeviceDetail, width int) []string {
	s := &env.Styles
	type value struct{ kind, text string }
	var order []value
	by := map[value][]string{}
	add := func(kind, text, source string) {
		if text == "" {
			return
		}
		v := value{kind, text}
		if _, known := by[v]; !known {
			order = append(order, v)
		}
		if !slices.Contains(by[v], source) {
			by[v] = append(by[v], source)
		}
	}
	for _, a := range d.GetAssertions() {
		if a.GetState() == "retracted" {
			continue
		}
		for _, mac := range a.GetMacs() {
			add("mac", mac, a.GetSource())
		}
		add("serial number", a.GetSerialNumber(), a.GetSource())
		for _, ip := range a.GetIps() {
			add("ip", ip, a.GetSource())
		}
		add("hostname", a.GetHostname(), a.GetSource())
	}
	rank := []string{"mac", "serial number", "ip", "hostname"}
	slices.SortStableFunc(order, func(a, b value) int { return slices.Index(rank, a.kind) - slices.Index(rank, b.kind) })
	lines := make([]string, 0, len(order))
	for _, v := range order {
		style := s.Dim
		if len(by[v]) > 1 {
			style = s.Good
		}
		lines = append(lines, s.Label.Render(ui.Fit(v.kind, 16))+" "+ui.Fit(ui.Clean(v.text), 28)+" "+
			style.Render(ui.Cut(ui.Clean(strings.Join(by[v], " + ")), max(width-46, 4))))
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
