package services

import (
	"context"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// rename is the form of a service's new name.
type rename struct {
	env     *ui.Env
	service *adminv1.SyncService
	form    *ui.Form
	busy    bool
}

type renamedMsg struct {
	form *rename
	err  error
}

func newRename(env *ui.Env, service *adminv1.SyncService) *rename {
	return &rename{env: env, service: service, form: ui.NewForm(
		ui.Text("name", "Name", service.GetName(), "The component id "+service.GetComponentId()+", and so its identity, stays."),
	)}
}

// Title implements ui.Dialog.
func (r *rename) Title() string { return "Rename sync service " + r.service.GetName() }

// Keys implements ui.Dialog.
func (r *rename) Keys() []ui.Key {
	return []ui.Key{{Keys: "enter", Does: "rename"}, {Keys: "esc", Does: "cancel"}}
}

// Escape implements ui.Dialog.
func (r *rename) Escape() bool { return true }

// View implements ui.Dialog.
func (r *rename) View(width, height int) string { return r.form.View(&r.env.Styles, width, height) }

// Update implements ui.Dialog.
func (r *rename) Update(msg tea.Msg) tea.Cmd {
	if done, ok := msg.(renamedMsg); ok && done.form == r {
		if r.busy = false; done.err != nil {
			r.form.Fields[0].Error = ui.ErrorText(done.err)
			return nil
		}
		return r.env.Close(r, ui.Toast("renamed"))
	}
	if r.busy || !r.form.Update(msg) {
		return nil
	}
	r.busy = true
	request := &adminv1.RenameServiceRequest{Tenant: r.service.GetTenant(), Service: r.service.GetId(), Name: r.form.Value("name")}
	return r.env.Do(func(ctx context.Context) tea.Msg {
		_, err := r.env.Client.RenameService(ctx, request)
		return renamedMsg{r, err}
	})
}
