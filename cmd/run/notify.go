package run

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"edgesync/cmd/cmdutil"
	"edgesync/syncrun"
)

// notifier speaks sd_notify(3) with the service manager that started this
// process; without one it says nothing. The zero value is silent.
type notifier struct {
	socket string
	// watchdog is how often the manager wants to hear that the process works;
	// zero means never.
	watchdog time.Duration

	mu   sync.Mutex
	away string
	list int
	full string
	said string
}

// newNotifier reads the environment the manager made.
func newNotifier(env func(string) (string, bool)) *notifier {
	n := &notifier{}
	n.socket, _ = env("NOTIFY_SOCKET")
	if n.socket == "" || !strings.HasPrefix(n.socket, "/") && !strings.HasPrefix(n.socket, "@") {
		n.socket = ""
		return n
	}
	micros, _ := env("WATCHDOG_USEC")
	pid, forOne := env("WATCHDOG_PID")
	if usec, err := strconv.ParseInt(micros, 10, 64); err == nil && usec > 0 && (!forOne || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// tell sends one state. A manager that does not listen is no reason to stop.
func (n *notifier) tell(state string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(state))
	_ = conn.Close()
}

// observe keeps the manager's status line up to date.
func (n *notifier) observe(e syncrun.Event) {
	if n.socket == "" {
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
	status := fmt.Sprintf("%d sources", n.list)
	for _, trouble := range []string{n.full, n.away} {
		if trouble != "" {
			status += "; " + trouble
		}
	}
	if status != n.said {
		n.said = status
		n.tell("STATUS=" + cmdutil.Neutralise(status))
	}
}
