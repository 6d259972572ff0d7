// Package devices is the page of canonical devices: a search as you type over
// all of them, filters, and each device with what every source says of it.
package devices

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

const (
	// firstPage is how many devices a search brings at first, and mostRows the
	// most it brings when one scrolls on.
	firstPage, mostRows = 200, 20_000
	// settle is how long the typing rests before a search is asked for: keys that
	// come at once, such as a paste or one held down, are one search.
	settle = 40 * time.Millisecond
	// refresh is how soon a changed inventory is read again, and refreshShare
	// how many times longer than the reading took.
	refresh, refreshShare = 2 * time.Second, 20
)

// Page is the list of devices.
type Page struct {
	env    *ui.Env
	table  ui.Table
	search *ui.Form
	typing bool
	shown  bool

	tenant, source, state string
	limit                 int64

	devices []*adminv1.Device
	// marked are those to be merged, by id.
	marked map[string]*adminv1.Device
	// count is how many match, -1 while that is not known.
	count   int64
	err     string
	loading bool
	ready   bool

	// generation numbers the searches: the answer of an old one is dropped, and
	// stop ends it.
	generation int
	stop       context.CancelFunc
	asked      time.Time
	cost       time.Duration
	// seen is what was known of the inventory when it was read.
	seen int64
}

// New makes the page.
func New(env *ui.Env) *Page {
	return &Page{
		env: env, tenant: env.Tenant, state: "active", limit: firstPage, count: -1, marked: map[string]*adminv1.Device{},
		search: ui.NewForm(ui.Text("search", "Search", "", "")),
		table: ui.Table{Columns: []ui.Column{
			{}, {Title: "HOSTNAME", Share: 2}, {Title: "IP", Width: 15}, {Title: "MAC", Width: 17, Level: 1},
			{Title: "TENANT", Width: 10, Level: 2}, {Title: "SOURCES", Share: 1}, {Title: "TYPE", Width: 14, Level: 3},
			{Title: "SEEN", Width: 8},
		}},
	}
}

// Name implements ui.Page.
func (p *Page) Name() string { return "Devices" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return p.typing }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	if p.typing {
		return []ui.Key{{Keys: "↑↓", Does: "move"}, {Keys: "enter", Does: "to the list"}, {Keys: "esc", Does: "clear"}}
	}
	none := p.current() == nil
	merge := ui.Key{Keys: "m", Does: "merge", Off: len(p.marked) < 2 || p.env.Refusal(ui.Operator) != ""}
	if n := len(p.marked); n > 0 {
		merge.Does = fmt.Sprintf("merge %d marked", n)
	}
	return []ui.Key{
		{Keys: "/", Does: "search"}, {Keys: "enter", Does: "why", Off: none},
		{Keys: "t", Does: "tenant", Off: p.env.Tenant != ""}, {Keys: "o", Does: "source", Off: p.tenant == ""}, {Keys: "s", Does: "state: " + p.state},
		{Keys: "space", Does: "mark", Off: none}, merge, {Keys: "D", Does: "duplicates"},
	}
}

func (p *Page) current() *adminv1.Device {
	if p.table.Cursor >= len(p.devices) {
		return nil
	}
	return p.devices[p.table.Cursor]
}

// What comes back to the page.
type (
	dueMsg   struct{ generation int }
	foundMsg struct {
		generation int
		devices    []*adminv1.Device
		took       time.Duration
		err        error
	}
	countedMsg struct {
		generation int
		count      int64
	}
	filterMsg struct{ tenant, source, state *string }
	// changedMsg tells that devices were merged or parted.
	changedMsg struct{ text string }
)

// Update implements ui.Page.
func (p *Page) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ui.ShownMsg:
		p.shown = true
		if !p.ready && !p.loading {
			return p.ask()
		}
		return p.refresh()
	case ui.LiveMsg:
		return p.refresh()
	case dueMsg:
		if msg.generation == p.generation {
			return p.ask()
		}
	case foundMsg:
		if msg.generation == p.generation {
			p.found(msg)
		}
	case countedMsg:
		if msg.generation == p.generation {
			p.count = msg.count
		}
	case filterMsg:
		return p.filter(msg)
	case changedMsg:
		clear(p.marked)
		return tea.Batch(ui.Toast(msg.text), p.ask())
	case tea.KeyPressMsg:
		return p.press(msg)
	case tea.PasteMsg:
		if p.typing {
			return p.edit(msg)
		}
	case ui.WheelMsg, ui.ClickMsg:
		p.table.Update(msg, len(p.devices))
		return p.more()
	}
	return nil
}

func (p *Page) press(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.String()
	if p.typing {
		switch key {
		case "esc":
			p.typing = false
			return p.clear()
		case "enter":
			p.typing = false
			return nil
		case "up", "down", "pgup", "pgdown":
			p.table.Update(msg, len(p.devices))
			return p.more()
		}
		return p.edit(msg)
	}
	switch key {
	case "/":
		p.typing = true
	case "esc":
		return p.clear()
	case "enter":
		if device := p.current(); device != nil {
			return openDetail(p.env, device.GetTenant(), device.GetId())
		}
	case "space":
		p.mark()
	case "m":
		return p.merge()
	case "D":
		return openDuplicates(p.env, p.tenant)
	case "t":
		return p.chooseTenant()
	case "o":
		return p.chooseSource()
	case "s":
		next := map[string]string{"active": "retracted", "retracted": "all", "all": "active"}[p.state]
		return p.filter(filterMsg{state: &next})
	default:
		p.table.Update(msg, len(p.devices))
		return p.more()
	}
	return nil
}

// edit takes a key of the search, and searches once the typing rests.
func (p *Page) edit(msg tea.Msg) tea.Cmd {
	before := p.search.Value("search")
	p.search.Update(msg)
	if p.search.Value("search") == before {
		return nil
	}
	p.table.Cursor, p.limit = 0, firstPage
	p.generation++
	due := dueMsg{p.generation}
	return tea.Tick(settle, func(time.Time) tea.Msg { return due })
}

func (p *Page) clear() tea.Cmd {
	clear(p.marked)
	p.search.Fields[0].Set("")
	p.source, p.state, p.tenant = "", "active", p.env.Tenant
	p.table.Cursor, p.limit = 0, firstPage
	return p.ask()
}

func (p *Page) filter(msg filterMsg) tea.Cmd {
	if msg.tenant != nil {
		p.tenant, p.source = *msg.tenant, ""
	}
	if msg.source != nil {
		p.source = *msg.source
	}
	if msg.state != nil {
		p.state = *msg.state
	}
	p.table.Cursor, p.limit = 0, firstPage
	return p.ask()
}

// mark marks the device at the cursor, or takes its mark away, and goes on to the
// next.
func (p *Page) mark() {
	device := p.current()
	if device == nil {
		return
	}
	if p.marked[device.GetId()] != nil {
		delete(p.marked, device.GetId())
	} else {
		p.marked[device.GetId()] = device
	}
	p.table.Cursor++
	p.table.Clamp(len(p.devices))
}

// merge asks why the marked devices are one.
func (p *Page) merge() tea.Cmd {
	if refusal := p.env.Refusal(ui.Operator); refusal != "" {
		return ui.Refuse("merge", refusal)
	}
	if len(p.marked) < 2 {
		return ui.Refuse("merge", "mark two devices or more first, with space")
	}
	devices := slices.SortedFunc(maps.Values(p.marked), func(a, b *adminv1.Device) int { return cmp.Compare(a.GetId(), b.GetId()) })
	for _, device := range devices {
		if device.GetTenant() != devices[0].GetTenant() {
			return ui.Refuse("merge", "the marked devices are of several tenants")
		}
	}
	return p.env.Open(newMerge(p.env, devices))
}

func (p *Page) chooseTenant() tea.Cmd {
	if p.env.Tenant != "" {
		return nil
	}
	options := []ui.Option{{Label: "all tenants"}}
	for _, tenant := range p.env.Live.Tenants {
		slug := tenant.GetTenant().GetSlug()
		options = append(options, ui.Option{Value: slug, Label: slug, Note: ui.Plural(tenant.GetDeviceCount(), "device")})
	}
	return p.env.Open(&ui.Choice{Env: p.env, Heading: "Devices of which tenant?", Options: options, Pick: func(slug string) tea.Cmd {
		return func() tea.Msg { return filterMsg{tenant: &slug} }
	}})
}

func (p *Page) chooseSource() tea.Cmd {
	tenant := p.env.Live.Tenant(p.tenant)
	if tenant == nil {
		return func() tea.Msg {
			return ui.ToastMsg{Text: "choose a tenant first (t): sources are a tenant's", Bad: true}
		}
	}
	options := []ui.Option{{Label: "all sources"}}
	for _, source := range tenant.GetSources() {
		options = append(options, ui.Option{Value: source.GetSpec().GetName(), Label: source.GetSpec().GetName(), Note: source.GetSpec().GetSourceType()})
	}
	return p.env.Open(&ui.Choice{Env: p.env, Heading: "Devices of which source?", Options: options, Pick: func(name string) tea.Cmd {
		return func() tea.Msg { return filterMsg{source: &name} }
	}})
}

// total is how many devices match, -1 while that is not known.
func (p *Page) total() int64 {
	if p.count >= 0 {
		return p.count
	}
	if r := p.request(); r.GetSearch() != "" || r.GetSource() != "" || r.GetState() != "active" {
		if int64(len(p.devices)) < p.limit {
			return int64(len(p.devices))
		}
		return -1
	}
	var n int64
	for _, tenant := range p.env.Live.Tenants {
		if p.tenant == "" || tenant.GetTenant().GetSlug() == p.tenant {
			n += tenant.GetDeviceCount()
		}
	}
	return max(n, int64(len(p.devices)))
}

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	s := &p.env.Styles
	if !p.ready {
		if p.env.Live.Problem != "" && !p.env.Live.Ready {
			return ui.Waiting(p.env, "")
		}
		return ui.Waiting(p.env, "Reading devices …")
	}
	head := p.summary(width)
	lines := 1
	if p.typing || p.search.Value("search") != "" {
		head = ui.SearchLine(p.env, p.search, p.typing, width) + "\n" + head
		lines++
	}
	if p.err != "" {
		return head + "\n\n " + s.Bad.Render(strings.Join(ui.Wrap("✗ "+p.err, width-2), "\n "))
	}
	if len(p.devices) == 0 {
		return head + "\n" + p.nothing(width)
	}
	now := p.env.Now()
	p.table.Top, p.table.Columns[0].Width = lines, min(len(p.marked), 1) // The marks have room while there are some.
	return head + "\n" + p.table.View(s, width, height-lines, len(p.devices), func(i int) []ui.Cell {
		d := p.devices[i]
		seen := strings.TrimSuffix(ui.Ago(d.GetLastSeen(), now), " ago")
		style := s.Plain
		if d.GetState() == "retracted" {
			seen, style = "gone", s.Warn
		}
		mark := ui.Cell{}
		if p.marked[d.GetId()] != nil {
			mark = ui.Cell{Text: "✓", Style: s.Accent}
		}
		return []ui.Cell{
			mark, {Text: cmp.Or(d.GetHostname(), d.GetId())}, {Text: d.GetIp()}, {Text: d.GetMac()}, {Text: d.GetTenant()},
			{Text: strings.Join(d.GetSources(), ",")}, {Text: d.GetDeviceType()}, {Text: seen, Style: style},
		}
	})
}

// summary is how many devices match what, and where in them the cursor is.
func (p *Page) summary(width int) string {
	s := &p.env.Styles
	text := ""
	if n := p.total(); n >= 0 {
		text = s.Bold.Render(ui.Plural(n, "device"))
	} else {
		text = s.Bold.Render("more than " + ui.Count(int64(len(p.devices))))
	}
	filters := []string{cmp.Or(p.tenant, "all tenants")}
	if p.source != "" {
		filters = append(filters, "source "+p.source)
	}
	if p.state != "active" {
		filters = append(filters, p.state)
	}
	text += s.Dim.Render("  " + ui.Clean(strings.Join(filters, ", ")))
	if p.loading {
		text += s.Dim.Render("  reading …")
	} else {
		text += s.Dim.Render(fmt.Sprintf("  in %d ms", p.cost.Milliseconds()))
	}
	where := ""
	if len(p.devices) > 0 {
		where = "row " + ui.Count(int64(p.table.Cursor)+1)
	}
	text = ui.Cut(" "+text, width-len(where)-3)
	return text + strings.Repeat(" ", max(width-lipgloss.Width(text)-len(where)-2, 1)) + s.Dim.Render(where)
}

func (p *Page) nothing(width int) string {
	if p.search.Value("search") != "" || p.source != "" || p.state != "active" || p.tenant != p.env.Tenant {
		return ui.Nothing(p.env, width, "No device matches.", "Search for a part of an address, MAC, hostname or id. Esc shows all again.")
	}
	return ui.Nothing(p.env, width, "There is no device yet.", "They arrive with the first run of a source: see page 2.")
}
