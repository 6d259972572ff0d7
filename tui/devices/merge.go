package devices

import (
	"cmp"
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// merge asks why several devices are one.
type merge struct {
	env     *ui.Env
	devices []*adminv1.Device
	form    *ui.Form
	busy    bool
	err     string
}

type mergedMsg struct {
	dialog *merge
	err    error
}

func newMerge(env *ui.Env, devices []*adminv1.Device) *merge {
	return &merge{env: env, devices: devices, form: ui.NewForm(
		ui.Text("reason", "Reason", "", "Why they are one thing. It is kept with the decision, and u on the device takes it back."),
	)}
}

// Title implements ui.Dialog.
func (m *merge) Title() string {
	return "Merge " + ui.Plural(int64(len(m.devices)), "device") + " into one"
}

// Keys implements ui.Dialog.
func (m *merge) Keys() []ui.Key {
	return []ui.Key{{Keys: "enter", Does: "merge"}, {Keys: "esc", Does: "cancel"}}
}

// Escape implements ui.Dialog.
func (m *merge) Escape() bool { return !m.busy }

// Update implements ui.Dialog.
func (m *merge) Update(msg tea.Msg) tea.Cmd {
	if done, ok := msg.(mergedMsg); ok && done.dialog == m {
		if m.busy = false; done.err != nil {
			m.err = ui.ErrorText(done.err)
			return nil
		}
		text := ui.Plural(int64(len(m.devices)), "device") + " are one now"
		return m.env.Close(m, func() tea.Msg { return changedMsg{text} })
	}
	if m.busy || !m.form.Update(msg) {
		return nil
	}
	request := &adminv1.MergeDevicesRequest{Tenant: m.devices[0].GetTenant(), Reason: strings.TrimSpace(m.form.Value("reason"))}
	for _, device := range m.devices {
		request.Ids = append(request.Ids, device.GetId())
	}
	m.busy, m.err = true, ""
	return m.env.Do(func(ctx context.Context) tea.Msg {
		_, err := m.env.Client.MergeDevices(ctx, request)
		return mergedMsg{m, err}
	})
}

// View implements ui.Dialog.
func (m *merge) View(width, height int) string {
	const most = 6
	s := &m.env.Styles
	var lines []string
	for i, device := range m.devices {
		if i == most-1 && len(m.devices) > most {
			lines = append(lines, s.Dim.Render("… and "+ui.Plural(int64(len(m.devices)-i), "more device")))
			break
		}
		lines = append(lines, ui.Fit(ui.Clean(cmp.Or(device.GetHostname(), device.GetId())), 28)+" "+
			ui.Fit(ui.Clean(device.GetIp()), 15)+" "+ui.Cut(ui.Clean(strings.Join(device.GetSources(), ", ")), max(width-45, 4)))
	}
	lines = append(lines, "")
	if m.busy {
		lines = append(lines, s.Dim.Render("Merging …"))
	} else {
		lines = append(lines, m.form.View(s, width, height-len(lines)-2))
	}
	if m.err != "" {
		for _, line := range ui.Wrap("✗ "+m.err, width) {
			lines = append(lines, s.Bad.Render(line))
		}
	}
	return strings.Join(lines, "\n")
}

// split asks which of a device's assertions are another thing.
type split struct {
	env    *ui.Env
	device *adminv1.Device
	all    []*adminv1.Assertion
	marked map[int]bool
	table  ui.Table
	form   *ui.Form
	// reasoning is whether the keys go into the reason.
	reasoning bool
	busy      bool
	err       string
}

type splitMsg struct {
	dialog *split
	parted *adminv1.PartedDevices
	err    error
}

func newSplit(env *ui.Env, detail *adminv1.DeviceDetail) *split {
	return &split{
		env: env, device: detail.GetDevice(), all: detail.GetAssertions(), marked: map[int]bool{},
		table: ui.Table{Columns: []ui.Column{
			{Title: "", Width: 1}, {Title: "SOURCE", Share: 1}, {Title: "KNOWN AS", Share: 1}, {Title: "HOSTNAME", Share: 1}, {Title: "SEEN", Width: 8},
		}},
		form: ui.NewForm(ui.Text("reason", "Reason", "", "Why they are another thing. It is kept with the decision.")),
	}
}

// Title implements ui.Dialog.
func (d *split) Title() string { return "Which of these are another thing?" }

// Keys implements ui.Dialog.
func (d *split) Keys() []ui.Key {
	if d.reasoning {
		return []ui.Key{{Keys: "enter", Does: "split"}, {Keys: "esc", Does: "back"}}
	}
	return []ui.Key{{Keys: "↑↓", Does: "move"}, {Keys: "space", Does: "mark"}, {Keys: "enter", Does: "go on", Off: !d.fit()}, {Keys: "esc", Does: "cancel"}}
}

// fit tells whether the marks leave something on both sides.
func (d *split) fit() bool { return len(d.marked) > 0 && len(d.marked) < len(d.all) }

// Escape implements ui.Dialog.
func (d *split) Escape() bool {
	if d.reasoning && !d.busy {
		d.reasoning = false
		return false
	}
	return !d.busy
}

// Update implements ui.Dialog.
func (d *split) Update(msg tea.Msg) tea.Cmd {
	if done, ok := msg.(splitMsg); ok && done.dialog == d {
		if d.busy = false; done.err != nil {
			d.err = ui.ErrorText(done.err)
			return nil
		}
		text := "parted into " + ui.Plural(int64(len(done.parted.GetDevices())), "device")
		return d.env.Close(d, func() tea.Msg { return changedMsg{text} })
	}
	if d.busy {
		return nil
	}
	if d.reasoning {
		if d.form.Update(msg) {
			return d.carryOut()
		}
		return nil
	}
	if key, ok := msg.(tea.KeyPressMsg); ok {
		switch key.String() {
		case "space":
			if n := d.table.Cursor; d.marked[n] {
				delete(d.marked, n)
			} else {
				d.marked[n] = true
			}
			return nil
		case "enter":
			d.reasoning = d.fit()
			return nil
		}
	}
	d.table.Update(msg, len(d.all))
	return nil
}

func (d *split) carryOut() tea.Cmd {
	request := &adminv1.SplitDeviceRequest{Tenant: d.device.GetTenant(), Id: d.device.GetId(), Reason: strings.TrimSpace(d.form.Value("reason"))}
	for i, a := range d.all {
		if d.marked[i] {
			request.Members = append(request.Members, a.GetHomeId())
		}
	}
	d.busy, d.err = true, ""
	return d.env.Do(func(ctx context.Context) tea.Msg {
		parted, err := d.env.Client.SplitDevice(ctx, request)
		return splitMsg{d, parted, err}
	})
}

// View implements ui.Dialog.
func (d *split) View(width, height int) string {
	s, now := &d.env.Styles, d.env.Now()
	below := []string{""}
	switch {
	case d.busy:
		below = append(below, s.Dim.Render("Splitting …"))
	case d.reasoning:
		below = append(below, strings.Split(d.form.View(s, width, 4), "\n")...)
	default:
		below = append(below, s.Dim.Render("Mark those that are not the same thing as the others, with space."))
	}
	if d.err != "" {
		for _, line := range ui.Wrap("✗ "+d.err, width) {
			below = append(below, s.Bad.Render(line))
		}
	}
	table := d.table.View(s, width, min(len(d.all)+1, max(height-len(below), 2)), len(d.all), func(i int) []ui.Cell {
		a, mark := d.all[i], ui.Cell{}
		if d.marked[i] {
			mark = ui.Cell{Text: "✓", Style: s.Accent}
		}
		return []ui.Cell{mark, {Text: a.GetSource()}, {Text: a.GetKey()}, {Text: a.GetHostname()}, {Text: strings.TrimSuffix(ui.Ago(a.GetLastSeen(), now), " ago")}}
	})
	return table + "\n" + strings.Join(below, "\n")
}
