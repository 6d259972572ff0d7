// Package services is the page of sync services: how each does, with a detail of
// its sources and what became of their runs.
package services

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/commands"
	"edgesync/tui/ui"
)

// Page is the list of sync services.
type Page struct {
	env        *ui.Env
	table      ui.Table
	addService func(tenant string) tea.Cmd
	shown      []*adminv1.SyncService
}

// New makes the page. addService opens the onboarding wizard.
func New(env *ui.Env, addService func(tenant string) tea.Cmd) *Page {
	return &Page{env: env, addService: addService, table: ui.Table{Columns: []ui.Column{
		{Title: "NAME", Share: 2}, {Title: "TENANT", Share: 1}, {Title: "KIND", Width: 8, Level: 1}, {Title: "STATUS", Width: 12},
		{Title: "HEARTBEAT", Width: 9}, {Title: "SOURCES", Width: 7, Right: true},
		{Title: "CERT EXPIRES", Width: 12, Level: 2}, {Title: "OUTBOX", Width: 9, Level: 3},
		{Title: "VERSION", Width: 10, Level: 4}, {Title: "HOST", Share: 1, Level: 5},
	}}}
}

// Name implements ui.Page.
func (p *Page) Name() string { return "Sync services" }

// Typing implements ui.Page.
func (p *Page) Typing() bool { return false }

// Keys implements ui.Page.
func (p *Page) Keys() []ui.Key {
	one := p.current()
	keys := []ui.Key{
		{Keys: "enter", Does: "details", Off: one == nil},
		{Keys: "a", Does: "Add Edge Sync Service", Off: p.env.Refusal(ui.Operator) != ""},
	}
	return append(keys, p.actions(one)...)
}

// actions are what can be done to a service.
func (p *Page) actions(one *adminv1.SyncService) []ui.Key {
	none := one == nil || p.env.Refusal(ui.Operator) != ""
	return []ui.Key{
		{Keys: "S", Does: "sync now", Off: none || one.GetSourceCount() == 0},
		{Keys: "r", Does: "rename", Off: none}, {Keys: "R", Does: "revoke", Off: none || one.GetState() == "revoked"},
		{Keys: "d", Does: "remove", Off: none || one.GetIsPlatformSync()},
	}
}

func (p *Page) current() *adminv1.SyncService {
	if p.table.Cursor >= len(p.shown) {
		return nil
	}
	return p.shown[p.table.Cursor]
}

// Update implements ui.Page.
func (p *Page) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ui.LiveMsg:
		before := p.current()
		p.shown = p.env.Live.Services()
		if i := slices.IndexFunc(p.shown, func(s *adminv1.SyncService) bool { return s.GetId() == before.GetId() }); before != nil && i >= 0 {
			p.table.Cursor = i
		}
		p.table.Clamp(len(p.shown))
		return nil
	case tea.KeyPressMsg:
		return p.press(msg)
	}
	p.table.Update(msg, len(p.shown))
	return nil
}

func (p *Page) press(msg tea.KeyPressMsg) tea.Cmd {
	service := p.current()
	if msg.String() == "a" {
		if refusal := p.env.Refusal(ui.Operator); refusal != "" {
			return ui.Refuse("Add Edge Sync Service", refusal)
		}
		tenant := p.env.Tenant
		if tenant == "" && service != nil && !service.GetIsPlatformSync() {
			tenant = service.GetTenant()
		}
		return p.addService(tenant)
	}
	if service != nil {
		if msg.String() == "enter" {
			return p.env.Open(p.detail(service))
		}
		if cmd := p.act(service, msg.String()); cmd != nil {
			return cmd
		}
	}
	p.table.Update(msg, len(p.shown))
	return nil
}

// act does what a key says to a service; nil for a key that says nothing.
func (p *Page) act(service *adminv1.SyncService, key string) tea.Cmd {
	what := map[string]string{"S": "sync now", "r": "rename", "R": "revoke", "d": "remove"}[key]
	if what == "" {
		return nil
	}
	if refusal := p.refusal(service, key); refusal != "" {
		return ui.Refuse(what, refusal)
	}
	switch key {
	case "S":
		return commands.NewSync(p.env, "Sync of all sources of "+service.GetName(), &adminv1.SyncNowRequest{Tenant: service.GetTenant(), Service: service.GetId()})
	case "r":
		return p.env.Open(newRename(p.env, service))
	case "R":
		return p.ask(service, "revoke", "Its identity is refused from now on; onboarding it again gives it a new one.", p.revoke)
	}
	return p.ask(service, "remove", "Its identity is refused from now on, and it is listed no more.", p.remove)
}

// refusal is why a key does nothing to a service, or empty.
func (p *Page) refusal(service *adminv1.SyncService, key string) string {
	if refusal := p.env.Refusal(ui.Operator); refusal != "" {
		return refusal
	}
	switch {
	case key == "S" && service.GetSourceCount() == 0:
		return "no source is assigned to it"
	case key == "R" && service.GetState() == "revoked":
		return "it is revoked already"
	case key == "d" && service.GetIsPlatformSync():
		return "it is the platform's own"
	case key == "d" && service.GetSourceCount() > 0:
		return fmt.Sprintf("%s assigned to it: give them to another on page 2 first", ui.Plural(int64(service.GetSourceCount()), "source")+isAre(service.GetSourceCount()))
	}
	return ""
}

func isAre(n int32) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func (p *Page) ask(service *adminv1.SyncService, verb, question string, act func(context.Context, *adminv1.SyncService) error) tea.Cmd {
	name := service.GetName()
	return p.env.Open(&ui.Confirm{
		Env: p.env, Heading: strings.ToUpper(verb[:1]) + verb[1:] + " sync service " + name + " of tenant " + service.GetTenant() + "?", Verb: verb, Question: question,
		Then: p.env.Do(func(ctx context.Context) tea.Msg {
			if err := act(ctx, service); err != nil {
				return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
			}
			return ui.ToastMsg{Text: verb + "d sync service " + name}
		}),
	})
}

func (p *Page) revoke(ctx context.Context, s *adminv1.SyncService) error {
	_, err := p.env.Client.RevokeService(ctx, &adminv1.RevokeServiceRequest{Tenant: s.GetTenant(), Service: s.GetId()})
	return err
}

func (p *Page) remove(ctx context.Context, s *adminv1.SyncService) error {
	_, err := p.env.Client.RemoveService(ctx, &adminv1.RemoveServiceRequest{Tenant: s.GetTenant(), Service: s.GetId()})
	return err
}

// Kind tells the platform's services from a tenant's.
func Kind(s *adminv1.SyncService) string {
	if s.GetIsPlatformSync() {
		return "platform"
	}
	return "edge"
}

// Status is the word for how a service does.
func Status(s *adminv1.SyncService) string {
	if s.GetState() == "revoked" {
		return "revoked"
	}
	if s.GetStatus() == "offline" && ui.TimeOf(s.GetFirstHelloAt()).IsZero() {
		return "never seen"
	}
	return s.GetStatus()
}

// outbox is what waits in a service's outbox, in a word.
func outbox(s *adminv1.SyncService) string {
	if n := s.GetOutboxRuns(); n > 0 {
		return ui.Plural(n, "run")
	}
	return "–"
}

// View implements ui.Page.
func (p *Page) View(width, height int) string {
	if !p.env.Live.Ready {
		return ui.Waiting(p.env, "Reading the sync services …")
	}
	if len(p.shown) == 0 {
		return ui.Nothing(p.env, width, "There is no sync service yet.", "Press a to add an edge sync service.")
	}
	s, now := &p.env.Styles, p.env.Now()
	return p.table.View(s, width, height, len(p.shown), func(i int) []ui.Cell {
		one := p.shown[i]
		status := Status(one)
		sources := fmt.Sprint(one.GetSourceCount())
		if n := one.GetFailingSourceCount(); n > 0 {
			sources = fmt.Sprintf("%d!/%s", n, sources)
		}
		kind := s.Plain
		if one.GetIsPlatformSync() {
			kind = s.Accent
		}
		expiry := ui.Until(one.GetCertExpiresAt(), now)
		return []ui.Cell{
			{Text: one.GetName()}, {Text: one.GetTenant()}, {Text: Kind(one), Style: kind},
			{Text: ui.Mark(status) + " " + status, Style: s.State(status)}, {Text: ui.Ago(one.GetLastHeartbeatAt(), now)},
			{Text: sources}, {Text: expiry, Style: s.State(expiry)}, {Text: outbox(one)}, {Text: one.GetVersion()}, {Text: one.GetHostname()},
		}
	})
}
