package syncrun

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// executors carry out the commands this runtime knows.
var executors = map[string]func(*Runtime, context.Context, *command, []byte){
	payload.CommandSyncNow:     (*Runtime).syncNow,
	payload.CommandTestSource:  (*Runtime).testSource,
	payload.CommandTraceDevice: (*Runtime).traceDevice,
}

// execute carries one command out. A panic ends the command, not the runtime.
func (r *Runtime) execute(ctx context.Context, c *command, order []byte) {
	defer func() {
		if p := recover(); p != nil {
			r.options.Logger.Error("command panicked", "command_type", c.kind, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.end(false, "the command broke down; report it with the service's log", nil)
		}
	}()
	r.options.Logger.Info("command begun", "command_type", c.kind, "command_id", c.id)
	executors[c.kind](r, ctx, c, order)
}

const (
	// knownCommands is how many commands are remembered, so that one that comes
	// again is not carried out again.
	knownCommands = 512
	// repeatFor is how long a result is told again to each new stream: nobody
	// says that it arrived.
	repeatFor = 2 * time.Minute
	// maxUnsaid bounds what waits for a slow stream; progress beyond is dropped.
	maxUnsaid = 256
)

// commands are what the gateway told this service to do, and what there is to
// say of it.
type commands struct {
	mu    sync.Mutex
	known map[string]*command
	// order is by age.
	order  []string
	busy   int
	unsaid []*monitoring.ControlStreamRequest
	wake   chan struct{}
}

// command is one of them.
type command struct {
	id, kind string
	now      func() time.Time
	all      *commands
	// result is nil while it is under way; ended is guarded by all.mu as it is.
	result *monitoring.ControlStreamRequest
	ended  time.Time
}

func newCommands() *commands {
	return &commands{known: map[string]*command{}, wake: make(chan struct{}, 1)}
}

// begin remembers a command; false when it is known. That is then answered as
// before.
func (cs *commands) begin(c *command) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if old := cs.known[c.id]; old != nil {
		cs.add(old.answer())
		return false
	}
	for i := 0; i < len(cs.order) && len(cs.order) >= knownCommands; {
		if id := cs.order[i]; cs.known[id].result != nil {
			delete(cs.known, id)
			cs.order = append(cs.order[:i], cs.order[i+1:]...)
		} else {
			i++
		}
	}
	cs.known[c.id] = c
	cs.order = append(cs.order, c.id)
	return true
}

// occupy takes a place for one more command to be carried out.
func (cs *commands) occupy() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.busy >= maxCommands {
		return false
	}
	cs.busy++
	return true
}

func (cs *commands) free() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.busy--
}

// resume is the start of a new stream: what the old one may not have delivered
// is said again.
func (cs *commands) resume(now time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.unsaid = nil
	for _, id := range cs.order {
		if c := cs.known[id]; c.result == nil || now.Sub(c.ended) < repeatFor {
			cs.add(c.answer())
		}
	}
}

// answer is the last word there is: the result, or that the command is under way.
func (c *command) answer() *monitoring.ControlStreamRequest {
	if c.result != nil {
		return c.result
	}
	return c.acknowledgement()
}

// say leaves a message for the stream there is.
func (cs *commands) say(message *monitoring.ControlStreamRequest) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.add(message)
}

func (cs *commands) add(message *monitoring.ControlStreamRequest) {
	if message.GetCommandProgress() != nil && len(cs.unsaid) >= maxUnsaid {
		return
	}
	cs.unsaid = append(cs.unsaid, message)
	wake(cs.wake)
}

// speak sends what there is to say until ctx ends or the stream breaks.
func (cs *commands) speak(ctx context.Context, send func(*monitoring.ControlStreamRequest) error) error {
	for {
		cs.mu.Lock()
		messages := cs.unsaid
		cs.unsaid = nil
		cs.mu.Unlock()
		for _, message := range messages {
			if err := send(message); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-cs.wake:
		}
	}
}

func (c *command) acknowledgement() *monitoring.ControlStreamRequest {
	return &monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandAck{
		CommandAck: &monitoring.CommandAck{CommandId: c.id, CommandType: c.kind, Timestamp: c.now().Unix()},
	}}
}

func (c *command) ack() { c.all.say(c.acknowledgement()) }

// progress tells how far the command has come.
func (c *command) progress(percent int, state any) {
	encoded, err := json.Marshal(state)
	if err != nil {
		return // It is made of text and numbers.
	}
	c.all.say(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandProgress{
		CommandProgress: &monitoring.CommandProgress{
			CommandId: c.id, CommandType: c.kind, ProgressPercent: int32(percent), Timestamp: c.now().Unix(), PayloadJson: encoded,
		},
	}})
}

// end tells the result. The first one counts.
func (c *command) end(success bool, message string, result any) {
	var encoded []byte
	if result != nil {
		var err error
		if encoded, err = json.Marshal(result); err != nil {
			success, message = false, "the result cannot be encoded"
		}
	}
	answer := &monitoring.CommandResult{
		CommandId: c.id, CommandType: c.kind, Success: success, Message: cut(oneLine(message), maxSaid),
		PayloadJson: encoded, Timestamp: c.now().Unix(),
	}
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.result != nil {
		return
	}
	c.result = &monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandResult{CommandResult: answer}}
	c.ended = c.now()
	c.all.add(c.result)
}

// maxSaid is the most of an error that is told.
const maxSaid = 512
