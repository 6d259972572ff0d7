package core

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// lines are the ControlStreams open in this process, by service, and the
// commands that are under way over them. A service may hold several for a
// while, when the network cut one that nobody has noticed yet: all are told of
// configurations, and the latest gets the commands.
type lines struct {
	mu       sync.Mutex
	open     map[uuid.UUID][]*line
	commands map[uuid.UUID]*order
}

// line is one ControlStream. Whatever there is to say is left here and taken by
// the one goroutine that speaks; changes that come faster than they are told
// are told once.
type line struct {
	service, tenant uuid.UUID
	platform        bool
	// wake holds a token when there is something to say.
	wake chan struct{}

	mu       sync.Mutex
	changed  bool
	commands []Command
}

// order is a command that a service here was given or that somebody here waits
// for.
type order struct {
	Command
	acknowledged bool
	// call is who waits, nil if that is in another process.
	call *call
}

// The limits of what is kept of commands.
const (
	maxServiceCommands = 32
	maxCommands        = 10_000
	// orderLife is how long a command may be under way before it is forgotten.
	orderLife = 24 * time.Hour
)

// attach opens a line. Its configuration is looked at first of all, and commands
// that a line before it did not deliver follow.
func (ls *lines) attach(a admission) *line {
	l := &line{
		service: a.service.ID, tenant: a.tenant.ID, platform: a.service.IsPlatformSync,
		wake: make(chan struct{}, 1), changed: true,
	}
	l.wake <- struct{}{}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.open == nil {
		ls.open = map[uuid.UUID][]*line{}
	}
	ls.open[l.service] = append(ls.open[l.service], l)
	for _, o := range ls.commands {
		if o.Service == l.service && !o.acknowledged {
			l.commands = append(l.commands, o.Command)
		}
	}
	return l
}

func (ls *lines) detach(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.open[l.service] = slices.DeleteFunc(ls.open[l.service], func(one *line) bool { return one == l })
	if len(ls.open[l.service]) == 0 {
		delete(ls.open, l.service)
	}
}

// tell has every line that a change concerns look at its configuration, and at
// whether its peer is still admitted.
func (ls *lines) tell(change Change) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(change.Services) > 0 {
		for _, service := range change.Services {
			for _, l := range ls.open[service] {
				l.tell()
			}
		}
		return
	}
	for _, all := range ls.open {
		for _, l := range all {
			if l.tenant == change.Tenant || l.platform {
				l.tell()
			}
		}
	}
}

func (ls *lines) connected(service uuid.UUID) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open[service]) > 0
}

// give takes a command into the books and leaves it on the latest line of its
// service, if there is one here; false when the service has too many under way.
func (ls *lines) give(command Command, call *call, now time.Time) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	count := 0
	for id, o := range ls.commands {
		if now.Sub(o.CreatedAt) > orderLife {
			delete(ls.commands, id)
			continue
		}
		if o.Service == command.Service {
			count++
		}
	}
	if count >= maxServiceCommands || len(ls.commands) >= maxCommands {
		return false
	}
	if ls.commands == nil {
		ls.commands = map[uuid.UUID]*order{}
	}
	ls.commands[command.ID] = &order{Command: command, call: call}
	if open := ls.open[command.Service]; len(open) > 0 {
		open[len(open)-1].order(command)
	}
	return true
}

// adopt takes a command into the books that another process was asked for.
func (ls *lines) adopt(command Command) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.commands == nil {
		ls.commands = map[uuid.UUID]*order{}
	}
	if ls.commands[command.ID] == nil {
		ls.commands[command.ID] = &order{Command: command}
	}
}

// leave tells that nobody here waits for a command any more. It returns whether
// its service has begun it; the store then knows what is left to know.
func (ls *lines) leave(id uuid.UUID) (begun bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	o := ls.commands[id]
	if o == nil {
		return false
	}
	o.call = nil
	if o.acknowledged {
		delete(ls.commands, id)
	}
	return o.acknowledged
}

// awaited tells whether somebody here waits for a command.
func (ls *lines) awaited(id uuid.UUID) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	o := ls.commands[id]
	return o != nil && o.call != nil
}

// waits tells whether a command is still to be delivered.
func (ls *lines) waits(id uuid.UUID) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	o := ls.commands[id]
	return o != nil && !o.acknowledged
}

// withdraw forgets a command, delivered or not.
func (ls *lines) withdraw(id uuid.UUID) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.commands, id)
}

// whose is what became of looking a report's command up.
type whose int

const (
	nobodys whose = iota
	ours
	others
	forged
)

// report takes what a service says of a command to who waits for it, if that is
// here. first is whether it is the first thing that is heard of it.
func (ls *lines) report(r CommandReport) (of whose, first bool) {
	ls.mu.Lock()
	o := ls.commands[r.Command]
	if o == nil {
		ls.mu.Unlock()
		return nobodys, false
	}
	if o.Service != r.Service {
		ls.mu.Unlock()
		return forged, false
	}
	first, o.acknowledged = !o.acknowledged, true
	if r.Kind == ReportResult || r.Kind == ReportWithdrawn {
		delete(ls.commands, r.Command)
	}
	call := o.call
	ls.mu.Unlock()
	if call == nil {
		return others, first
	}
	call.take(r)
	return ours, first
}

func (l *line) tell() {
	l.mu.Lock()
	l.changed = true
	l.mu.Unlock()
	l.ring()
}

func (l *line) order(command Command) {
	l.mu.Lock()
	l.commands = append(l.commands, command)
	l.mu.Unlock()
	l.ring()
}

func (l *line) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take empties the line. Commands go out after the configuration they may be
// about.
func (l *line) take() (changed bool, commands []Command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, commands = l.changed, l.commands
	l.changed, l.commands = false, nil
	return changed, commands
}

// call is somebody who waits for a command.
type call struct {
	mu      sync.Mutex
	reports []CommandReport
	wake    chan struct{}
}

// maxUnread is how much progress waits for a slow reader; then the oldest goes.
const maxUnread = 256

func newCall() *call { return &call{wake: make(chan struct{}, 1)} }

func (c *call) take(r CommandReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, r)
	if len(c.reports) > maxUnread {
		c.reports = slices.Delete(c.reports, 0, 1)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *call) unread() []CommandReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	reports := c.reports
	c.reports = nil
	return reports
}
