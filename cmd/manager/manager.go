// Package manager speaks sd_notify(3) with the service manager that started this
// process. It knows nothing of what the process does.
package manager

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier tells the service manager how the process is. Without a manager it
// says nothing; the zero value is silent.
type Notifier struct {
	// Socket is where the manager listens.
	Socket string
	// Watchdog is how often the manager wants to hear that the process works;
	// zero means never.
	Watchdog time.Duration
}

// New reads the environment the manager made.
func New(env func(string) (string, bool)) *Notifier {
	n := &Notifier{}
	n.Socket, _ = env("NOTIFY_SOCKET")
	if n.Socket == "" || !strings.HasPrefix(n.Socket, "/") && !strings.HasPrefix(n.Socket, "@") {
		n.Socket = ""
		return n
	}
	micros, _ := env("WATCHDOG_USEC")
	pid, forOne := env("WATCHDOG_PID")
	if usec, err := strconv.ParseInt(micros, 10, 64); err == nil && usec > 0 && (!forOne || pid == strconv.Itoa(os.Getpid())) {
		n.Watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// Listens tells whether there is a manager.
func (n *Notifier) Listens() bool { return n.Socket != "" }

// patience is how long a manager may take to read what it was told before.
const patience = 5 * time.Second

// Tell sends states such as "READY=1" at once. A manager that does not listen is
// no reason to stop, nor one that does not read.
func (n *Notifier) Tell(states ...string) {
	if n.Socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.Socket, Net: "unixgram"})
	if err != nil {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	_, _ = conn.Write([]byte(strings.Join(states, "\n")))
	_ = conn.Close()
}

// Watch tells the manager that the process works for as long as it does, until
// ctx ends; one that hangs is then started again. works may take as long as it is
// told.
func (n *Notifier) Watch(ctx context.Context, works func(patience time.Duration) bool) {
	every := n.Watchdog / 2
	if every <= 0 {
		return
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if works(every) {
				n.Tell("WATCHDOG=1")
			}
		}
	}
}
