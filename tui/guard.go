package tui

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"

	tea "charm.land/bubbletea/v2"
)

// Fault is a bug that ended the interface. The terminal is as it was.
type Fault struct {
	// Doing is what it happened in.
	Doing string
	Value any
	Stack []byte
}

func (f *Fault) Error() string { return fmt.Sprintf("%s: %v", f.Doing, f.Value) }

// guard is a model that survives its own bugs for as long as it takes to give
// the terminal back: what panics ends the program as quitting does.
type guard struct {
	inner tea.Model
	// end asks the program to quit. It returns at once.
	end func()

	mu    sync.Mutex
	fault *Fault
	last  tea.View
}

// Fault is the first there was, or nil.
func (g *guard) Fault() *Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fault
}

// catch is deferred where a panic may come from.
func (g *guard) catch(doing string) {
	value := recover()
	if value == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault == nil {
		g.fault = &Fault{Doing: doing, Value: value, Stack: debug.Stack()}
	}
	g.end()
}

// Init implements tea.Model.
func (g *guard) Init() (cmd tea.Cmd) {
	defer g.catch("begin")
	return g.wrap(g.inner.Init())
}

// Update implements tea.Model.
func (g *guard) Update(msg tea.Msg) (next tea.Model, cmd tea.Cmd) {
	next = g
	defer g.catch("answer " + reflect.TypeOf(msg).String())
	if g.Fault() != nil {
		return g, nil
	}
	_, cmd = g.inner.Update(msg)
	return g, g.wrap(cmd)
}

// View implements tea.Model. After a fault it is what was drawn before.
func (g *guard) View() (view tea.View) {
	view = g.last
	defer g.catch("draw")
	if g.Fault() == nil {
		view = g.inner.View()
		g.last = view
	}
	return view
}

// commands is the type of the messages that hold further commands: a batch, and
// a sequence, which has no name outside its package.
var commands = reflect.TypeFor[[]tea.Cmd]()

// wrap has a command, and all those it leads to, end the program and not the
// process.
func (g *guard) wrap(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer g.catch("carry out a command")
		msg = cmd()
		if msg == nil || !reflect.TypeOf(msg).ConvertibleTo(commands) {
			return msg
		}
		many := reflect.ValueOf(msg)
		wrapped := reflect.MakeSlice(many.Type(), many.Len(), many.Len())
		for i := range many.Len() {
			one, _ := many.Index(i).Interface().(tea.Cmd)
			wrapped.Index(i).Set(reflect.ValueOf(g.wrap(one)))
		}
		return wrapped.Interface()
	}
}
