package run

import (
	"sync"

	"edgesync/cmd/cmdutil"
	"edgesync/cmd/manager"
	"edgesync/syncrun"
)

// notifier keeps the service manager's status line up to date. The zero value is
// silent.
type notifier struct {
	manager.Notifier

	mu   sync.Mutex
	away string
	list int
	full string
	said string
}

func newNotifier(env func(string) (string, bool)) *notifier {
	return &notifier{Notifier: *manager.New(env)}
}

func (n *notifier) observe(e syncrun.Event) {
	if !n.Listens() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e.Kind {
	case syncrun.Connected:
		n.away = ""
	case syncrun.Disconnected:
		n.away = "gateway is away: " + e.Detail
	case syncrun.Configured:
		n.list = len(e.Sources)
	case syncrun.OutboxFull:
		n.full = "outbox is full, no source is read"
	case syncrun.OutboxRoom:
		n.full = ""
	default:
		return
	}
	status := cmdutil.Plural(int64(n.list), "source")
	for _, trouble := range []string{n.full, n.away} {
		if trouble != "" {
			status += "; " + trouble
		}
	}
	if status != n.said {
		n.said = status
		n.Tell("STATUS=" + cmdutil.Neutralise(status))
	}
}
