package backup

import (
	"fmt"
	"log/slog"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/store/backup"
)

// What goes well is told by the command itself.
const logLevel = slog.LevelError

// On a terminal one line changes; elsewhere a line is written now and then.
const (
	meterOften  = 200 * time.Millisecond
	meterSeldom = 10 * time.Second
)

// meter shows how far something has come.
type meter struct {
	factory *cmdutil.Factory
	doing   string
	told    time.Time
	shown   bool
}

func newMeter(f *cmdutil.Factory, doing string) *meter {
	return &meter{factory: f, doing: doing, told: f.Now()}
}

func (m *meter) tell(p backup.Progress) {
	now, every := m.factory.Now(), meterSeldom
	if m.factory.IO.ErrTerminal {
		every = meterOften
	}
	if now.Sub(m.told).Abs() < every {
		return
	}
	m.told = now
	line := cmdutil.Neutralise(fmt.Sprintf("%s %s (%d of %d): %d rows", m.doing, p.Part.Name(), p.Done+1, p.Parts, p.Rows))
	if !m.factory.IO.ErrTerminal {
		fmt.Fprintln(m.factory.IO.Err, line)
		return
	}
	m.shown = true
	fmt.Fprint(m.factory.IO.Err, "\r\x1b[K"+line)
}

// clear takes the line away.
func (m *meter) clear() {
	if m.shown {
		m.shown = false
		fmt.Fprint(m.factory.IO.Err, "\r\x1b[K")
	}
}
