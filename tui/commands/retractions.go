package commands

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/ui"
)

// Retractions is a dialog of retractions that wait for an operator: a source
// named so much less than before that this may be a mistake of the source.
type Retractions struct {
	env    *ui.Env
	table  ui.Table
	held   []*adminv1.HeldRetractions
	loaded bool
	err    string
}

type heldMsg struct {
	dialog *Retractions
	held   []*adminv1.HeldRetractions
	err    error
}

// NewRetractions lists what is held of a tenant, or with an empty slug of all.
func NewRetractions(env *ui.Env) tea.Cmd {
	d := &Retractions{env: env, table: ui.Table{Columns: []ui.Column{
		{Title: "SOURCE", Share: 1}, {Title: "TENANT", Width: 12}, {Title: "WOULD GO", Width: 24}, {Title: "HELD", Width: 8},
	}}}
	return env.OpenAnd(d, d.read())
}

func (d *Retractions) read() tea.Cmd {
	return d.env.Do(func(ctx context.Context) tea.Msg {
		answer, err := d.env.Client.ListRetractions(ctx, &adminv1.ListRetractionsRequest{Tenant: d.env.Tenant})
		return heldMsg{d, answer.GetRetractions(), err}
	})
}

// Title implements ui.Dialog.
func (d *Retractions) Title() string { return "Held retractions" }

// Keys implements ui.Dialog.
func (d *Retractions) Keys() []ui.Key {
	none := len(d.held) == 0 || d.env.Refusal(ui.Operator) != ""
	return []ui.Key{{Keys: "r", Does: "retract them", Off: none}, {Keys: "x", Does: "spare them", Off: none}, {Keys: "esc", Does: "close"}}
}

// Escape implements ui.Dialog.
func (d *Retractions) Escape() bool { return true }

// Update implements ui.Dialog.
func (d *Retractions) Update(msg tea.Msg) tea.Cmd {
	if held, ok := msg.(heldMsg); ok && held.dialog == d {
		if d.loaded, d.held, d.err = true, held.held, ""; held.err != nil {
			d.err = ui.ErrorText(held.err)
		}
		d.table.Clamp(len(d.held))
		return nil
	}
	if key, ok := msg.(tea.KeyPressMsg); ok && len(d.held) > 0 {
		one := d.held[d.table.Cursor]
		if refusal := d.env.Refusal(ui.Operator); refusal != "" && (key.String() == "r" || key.String() == "x") {
			return ui.Refuse("settle held retractions", refusal)
		}
		settle := &adminv1.SettleRetractionsRequest{Tenant: one.GetTenant(), Source: one.GetSourceId()}
		switch key.String() {
		case "r":
			return d.ask(fmt.Sprintf("Retract %s of source %s?", ui.Plural(one.GetRetractions(), "device"), one.GetSource()), "retract", func(ctx context.Context) error {
				_, err := d.env.Client.ReleaseRetractions(ctx, settle)
				return err
			})
		case "x":
			return d.ask(fmt.Sprintf("Spare %s of source %s?", ui.Plural(one.GetRetractions(), "device"), one.GetSource()), "spare", func(ctx context.Context) error {
				_, err := d.env.Client.RejectRetractions(ctx, settle)
				return err
			})
		}
	}
	d.table.Update(msg, len(d.held))
	return nil
}

func (d *Retractions) ask(question, verb string, act func(context.Context) error) tea.Cmd {
	return d.env.Open(&ui.Confirm{Env: d.env, Question: question, Verb: verb, Then: tea.Sequence(
		d.env.Do(func(ctx context.Context) tea.Msg {
			if err := act(ctx); err != nil {
				return ui.ToastMsg{Text: ui.ErrorText(err), Bad: true}
			}
			return ui.ToastMsg{Text: "settled"}
		}), d.read())})
}

// View implements ui.Dialog.
func (d *Retractions) View(width, height int) string {
	s := &d.env.Styles
	switch {
	case d.err != "":
		return s.Bad.Render(ui.Cut("✗ "+d.err, width))
	case !d.loaded:
		return s.Dim.Render("Reading …")
	case len(d.held) == 0:
		return "None is held. When a source suddenly names far fewer devices,\nwhat it no longer names waits here for you."
	}
	return d.table.View(s, width, height, len(d.held), func(i int) []ui.Cell {
		one := d.held[i]
		return []ui.Cell{{Text: one.GetSource()}, {Text: one.GetTenant()},
			{Text: ui.Count(one.GetRetractions()) + " of " + ui.Count(one.GetLiving())}, {Text: ui.Ago(one.GetHeldAt(), d.env.Now())}}
	})
}
