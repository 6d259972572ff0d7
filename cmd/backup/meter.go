package backup

import (
	"log/slog"

	"edgesync/cmd/cmdutil"
	"edgesync/store/backup"
)

// What goes well is told by the command itself.
const logLevel = slog.LevelError

// meter shows how far something has come: the parts, and the rows of all.
type meter struct {
	progress    *cmdutil.Progress
	parts, rows *cmdutil.Task
}

func newMeter(f *cmdutil.Factory, doing string) *meter {
	m := &meter{progress: cmdutil.StartProgress(f, doing)}
	m.parts, m.rows = m.progress.Task(doing, "part", 0), m.progress.Task("", "row", 0)
	return m
}

func (m *meter) tell(p backup.Progress) {
	m.parts.Expect(int64(p.Parts))
	m.parts.Set(int64(p.Done))
	m.rows.Set(p.Rows)
	m.rows.Note(p.Part.Name())
}

// clear takes it away.
func (m *meter) clear() { m.progress.End() }
