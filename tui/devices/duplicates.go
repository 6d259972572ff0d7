package devices

import (
	"cmp"
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

const (
	// mostDuplicates are listed of each tenant.
	mostDuplicates = 500
	// mostShared are shown of the devices that share something.
	mostShared = 20
)

// duplicates is a sheet of what several devices share that does not make them
// one: an operator may know better.
type duplicates struct {
	env    *ui.Env
	tenant string
	table  ui.Table
	list   []*adminv1.Duplicate
	loaded bool
	err    string
	stop   context.CancelFunc
}

type duplicatesMsg struct {
	dialog *duplicates
	list   []*adminv1.Duplicate
	err    error
}

func openDuplicates(env *ui.Env, tenant string) tea.Cmd {
	wanted, stop := context.WithCancel(context.Background())
	d := &duplicates{env: env, tenant: tenant, stop: stop, table: ui.Table{Columns: []ui.Column{
		{Title: "TENANT", Width: 12, Level: 1}, {Title: "SHARED", Width: 9}, {Title: "VALUE", Share: 1},
		{Title: "PARTITION", Width: 10, Level: 2}, {Title: "DEVICES", Width: 8, Right: true},
	}}}
	return env.OpenAnd(d, env.Do(func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(wanted, cancel)()
		answer, err := env.Client.ListDuplicates(ctx, &adminv1.ListDuplicatesRequest{Tenant: tenant, Limit: mostDuplicates})
		return duplicatesMsg{d, answer.GetDuplicates(), err}
	}))
}

// Whole implements ui.Sheet.
func (d *duplicates) Whole() bool { return true }

// Title implements ui.Dialog.
func (d *duplicates) Title() string {
	return "What several devices share, of " + cmp.Or(d.tenant, "all tenants")
}

// Keys implements ui.Dialog.
func (d *duplicates) Keys() []ui.Key {
	return []ui.Key{{Keys: "↑↓", Does: "move"}, {Keys: "enter", Does: "its devices", Off: len(d.list) == 0}, {Keys: "esc", Does: "close"}}
}

// Escape implements ui.Dialog.
func (d *duplicates) Escape() bool {
	d.stop()
	return true
}

// Update implements ui.Dialog.
func (d *duplicates) Update(msg tea.Msg) tea.Cmd {
	if found, ok := msg.(duplicatesMsg); ok && found.dialog == d {
		if d.loaded, d.list = true, found.list; found.err != nil {
			d.err = ui.ErrorText(found.err)
		}
		return nil
	}
	if key, ok := msg.(tea.KeyPressMsg); ok && key.String() == "enter" && len(d.list) > 0 {
		return openShared(d.env, d.list[d.table.Cursor])
	}
	d.table.Update(msg, len(d.list))
	return nil
}

// View implements ui.Dialog.
func (d *duplicates) View(width, height int) string {
	s := &d.env.Styles
	switch {
	case d.err != "":
		return s.Bad.Render(strings.Join(ui.Wrap("✗ "+d.err, width), "\n"))
	case !d.loaded:
		return s.Dim.Render("Looking through all devices …")
	case len(d.list) == 0:
		return "Nothing: no two devices share a hardware id or a host name."
	}
	return d.table.View(s, width, height, len(d.list), func(i int) []ui.Cell {
		one := d.list[i]
		return []ui.Cell{
			{Text: one.GetTenant()}, {Text: one.GetKind()}, {Text: one.GetValue()}, {Text: one.GetPartition()}, {Text: ui.Count(one.GetCount())},
		}
	})
}

// shared is a sheet of the devices that share something.
type shared struct {
	env     *ui.Env
	what    *adminv1.Duplicate
	table   ui.Table
	devices []*adminv1.Device
	marked  map[int]bool
	loaded  bool
	err     string
}

type sharedMsg struct {
	dialog  *shared
	devices []*adminv1.Device
	err     error
}

func openShared(env *ui.Env, what *adminv1.Duplicate) tea.Cmd {
	d := &shared{env: env, what: what, marked: map[int]bool{}, table: ui.Table{Columns: []ui.Column{
		{Title: "", Width: 1}, {Title: "HOSTNAME", Share: 2}, {Title: "IP", Width: 15}, {Title: "MAC", Width: 17, Level: 1},
		{Title: "SOURCES", Share: 1}, {Title: "SEEN", Width: 8},
	}}}
	return env.OpenAnd(d, d.read())
}

// read reads the devices. Some may be one meanwhile.
func (d *shared) read() tea.Cmd {
	return d.env.Do(func(ctx context.Context) tea.Msg {
		var devices []*adminv1.Device
		seen := map[string]bool{}
		for _, id := range d.what.GetDevices()[:min(len(d.what.GetDevices()), mostShared)] {
			detail, err := d.env.Client.GetDevice(ctx, &adminv1.GetDeviceRequest{Tenant: d.what.GetTenant(), Id: id})
			if err != nil {
				return sharedMsg{d, nil, err}
			}
			if device := detail.GetDevice(); !seen[device.GetId()] {
				seen[device.GetId()] = true
				devices = append(devices, device)
			}
		}
		return sharedMsg{d, devices, nil}
	})
}

// Whole implements ui.Sheet.
func (d *shared) Whole() bool { return true }

// Title implements ui.Dialog.
func (d *shared) Title() string {
	return ui.Plural(d.what.GetCount(), "device") + " with " + d.what.GetKind() + " " + d.what.GetValue()
}

// Keys implements ui.Dialog.
func (d *shared) Keys() []ui.Key {
	return []ui.Key{
		{Keys: "enter", Does: "why", Off: len(d.devices) == 0}, {Keys: "space", Does: "mark", Off: len(d.devices) == 0},
		{Keys: "m", Does: "merge marked", Off: len(d.marked) < 2 || d.env.Refusal(ui.Operator) != ""}, {Keys: "esc", Does: "close"},
	}
}

// Escape implements ui.Dialog.
func (d *shared) Escape() bool { return true }

// Update implements ui.Dialog.
func (d *shared) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sharedMsg:
		if msg.dialog == d {
			if d.loaded, d.devices = true, msg.devices; msg.err != nil {
				d.err = ui.ErrorText(msg.err)
			}
		}
		return nil
	case changedMsg:
		clear(d.marked)
		return d.read()
	case tea.KeyPressMsg:
		if len(d.devices) > 0 {
			if cmd, taken := d.press(msg.String()); taken {
				return cmd
			}
		}
	}
	d.table.Update(msg, len(d.devices))
	return nil
}

func (d *shared) press(key string) (tea.Cmd, bool) {
	n := d.table.Cursor
	switch key {
	case "enter":
		return openDetail(d.env, d.devices[n].GetTenant(), d.devices[n].GetId()), true
	case "space":
		if d.marked[n] {
			delete(d.marked, n)
		} else {
			d.marked[n] = true
		}
		d.table.Cursor = min(n+1, len(d.devices)-1)
		return nil, true
	case "m":
		if refusal := d.env.Refusal(ui.Operator); refusal != "" {
			return ui.Refuse("merge", refusal), true
		}
		var chosen []*adminv1.Device
		for i, device := range d.devices {
			if d.marked[i] {
				chosen = append(chosen, device)
			}
		}
		if len(chosen) < 2 {
			return ui.Refuse("merge", "mark two devices or more first, with space"), true
		}
		return d.env.Open(newMerge(d.env, chosen)), true
	}
	return nil, false
}

// View implements ui.Dialog.
func (d *shared) View(width, height int) string {
	s, now := &d.env.Styles, d.env.Now()
	switch {
	case d.err != "":
		return s.Bad.Render(strings.Join(ui.Wrap("✗ "+d.err, width), "\n"))
	case !d.loaded:
		return s.Dim.Render("Reading …")
	}
	return d.table.View(s, width, height, len(d.devices), func(i int) []ui.Cell {
		one, mark := d.devices[i], ui.Cell{}
		if d.marked[i] {
			mark = ui.Cell{Text: "✓", Style: s.Accent}
		}
		return []ui.Cell{mark, {Text: cmp.Or(one.GetHostname(), one.GetId())}, {Text: one.GetIp()}, {Text: one.GetMac()},
			{Text: strings.Join(one.GetSources(), ",")}, {Text: strings.TrimSuffix(ui.Ago(one.GetLastSeen(), now), " ago")}}
	})
}
