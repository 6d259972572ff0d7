package tenants

import (
	"context"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// create is the form of a new tenant.
type create struct {
	env  *ui.Env
	form *ui.Form
	busy bool
	err  string
}

type createdMsg struct {
	form *create
	slug string
	err  error
}

func newCreate(env *ui.Env) *create {
	name := ui.Text("name", "Name", "", "What people call it; may be left empty.")
	name.Empty = "(the slug)"
	return &create{env: env, form: ui.NewForm(
		ui.Text("slug", "Slug", "", "Lower-case letters, digits and hyphens. It stays for ever: identities carry it."),
		name,
		ui.Choose("sync", "Platform sync", "yes", "Whether the platform's own sync service may run the tenant's sources.",
			[]ui.Option{{Value: "yes", Label: "allowed"}, {Value: "no", Label: "withheld"}}),
	)}
}

// Title implements ui.Dialog.
func (c *create) Title() string { return "New tenant" }

// Keys implements ui.Dialog.
func (c *create) Keys() []ui.Key {
	return []ui.Key{{Keys: "tab", Does: "field"}, {Keys: "ctrl+s", Does: "create"}, {Keys: "esc", Does: "cancel"}}
}

// Escape implements ui.Dialog.
func (c *create) Escape() bool { return !c.busy }

// Update implements ui.Dialog.
func (c *create) Update(msg tea.Msg) tea.Cmd {
	if done, ok := msg.(createdMsg); ok && done.form == c {
		if c.busy = false; done.err != nil {
			c.err = ui.ErrorText(done.err)
			return nil
		}
		return c.env.Close(c, ui.Toast("tenant "+done.slug+" is created"))
	}
	if c.busy || !c.form.Update(msg) {
		return nil
	}
	c.busy, c.err = true, ""
	request := &adminv1.CreateTenantRequest{
		Slug: c.form.Value("slug"), Name: c.form.Value("name"), NoPlatformSync: c.form.Value("sync") == "no",
	}
	return c.env.Do(func(ctx context.Context) tea.Msg {
		_, err := c.env.Client.CreateTenant(ctx, request)
		return createdMsg{c, request.GetSlug(), err}
	})
}

// View implements ui.Dialog.
func (c *create) View(width, height int) string {
	text := c.form.View(&c.env.Styles, width, height-2)
	if c.busy {
		text += "\n\n" + c.env.Styles.Dim.Render("Creating …")
	} else if c.err != "" {
		for _, line := range ui.Wrap("✗ "+c.err, width) {
			text += "\n" + c.env.Styles.Bad.Render(line)
		}
	}
	return text
}
