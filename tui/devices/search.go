package devices

import (
	"context"
	"errors"
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// ask searches. What was asked before and is not answered yet is ended.
func (p *Page) ask() tea.Cmd {
	if p.stop != nil {
		p.stop()
	}
	var search context.Context
	search, p.stop = context.WithCancel(context.Background())
	p.generation++
	p.loading, p.asked, p.seen = true, p.env.Now(), p.inventory()
	request := p.request()
	generation := p.generation
	find := p.env.Do(func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(search, cancel)()
		began := p.env.Now()
		devices, err := list(ctx, p.env.Client, request)
		return foundMsg{generation, devices, p.env.Now().Sub(began), err}
	})
	if request.GetSearch() == "" && request.GetSource() == "" && request.GetState() == "active" {
		p.count = -1 // The live view counts these.
		return find
	}
	p.count = -1
	count := p.env.Do(func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(search, cancel)()
		answer, err := p.env.Client.CountDevices(ctx, request)
		if err != nil { // The search itself says what is wrong.
			return countedMsg{generation, -1}
		}
		return countedMsg{generation, answer.GetCount()}
	})
	return tea.Batch(find, count)
}

func (p *Page) request() *adminv1.ListDevicesRequest {
	return &adminv1.ListDevicesRequest{
		Tenant: p.tenant, Source: p.source, State: p.state, Limit: p.limit,
		Search: strings.TrimSpace(p.search.Value("search")),
	}
}

func list(ctx context.Context, client adminv1.AdminClient, request *adminv1.ListDevicesRequest) ([]*adminv1.Device, error) {
	stream, err := client.ListDevices(ctx, request)
	if err != nil {
		return nil, err
	}
	var devices []*adminv1.Device
	for {
		device, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return devices, nil
		}
		if err != nil {
			return nil, err
		}
		devices = append(devices, device)
	}
}

func (p *Page) found(msg foundMsg) {
	p.loading, p.ready, p.cost, p.err = false, true, msg.took, ""
	if msg.err != nil {
		p.err = ui.ErrorText(msg.err)
		return
	}
	on := ""
	if p.table.Cursor > 0 && p.table.Cursor < len(p.devices) {
		on = p.devices[p.table.Cursor].GetId()
	}
	p.devices = msg.devices
	for i, device := range p.devices {
		if on != "" && device.GetId() == on {
			p.table.Cursor = i
		}
	}
	p.table.Clamp(len(p.devices))
}

// more reads further when the cursor comes near the end of what was read.
func (p *Page) more() tea.Cmd {
	if p.loading || int64(len(p.devices)) < p.limit || p.limit >= mostRows || p.table.Cursor < len(p.devices)-firstPage/4 {
		return nil
	}
	p.limit = min(p.limit*4, mostRows)
	return p.ask()
}

// inventory is a number that changes with the devices of the tenants shown.
func (p *Page) inventory() int64 {
	var n int64
	for _, tenant := range p.env.Live.Tenants {
		if p.tenant == "" || tenant.GetTenant().GetSlug() == p.tenant {
			n += tenant.GetDeviceCount() + tenant.GetUpdatesReceived()
		}
	}
	return n
}

// refresh reads again what the live view says has changed, not too often.
func (p *Page) refresh() tea.Cmd {
	if !p.shown || p.loading || p.typing || p.inventory() == p.seen ||
		p.env.Now().Sub(p.asked) < max(refresh, refreshShare*p.cost) {
		return nil
	}
	return p.ask()
}
