package core_test

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"testing"
	"time"

	"edgesync/certs"
	"edgesync/core"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// line is a service's end of a ControlStream, as the gateway would hold it.
type line struct {
	t     *testing.T
	peer  certs.Peer
	said  chan *monitoring.ControlStreamRequest
	heard chan *monitoring.ControlStreamResponse
	end   context.CancelFunc
	ended chan error
}

// control opens a ControlStream of a peer that has a configuration.
func control(t *testing.T, c *core.Core, peer certs.Peer, version string) *line {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &line{
		t: t, peer: peer, end: cancel, ended: make(chan error, 1),
		said: make(chan *monitoring.ControlStreamRequest), heard: make(chan *monitoring.ControlStreamResponse),
	}
	next := func(ctx context.Context) (*monitoring.ControlStreamRequest, error) {
		select {
		case message, ok := <-l.said:
			if !ok {
				return nil, io.EOF
			}
			return message, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	send := func(message *monitoring.ControlStreamResponse) error {
		select {
		case l.heard <- message:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go func() {
		l.ended <- c.Control(ctx, peer, &monitoring.ControlStreamHello{AgentId: peer.Component, ConfigVersion: version}, next, send)
	}()
	t.Cleanup(cancel)
	return l
}

func (l *line) next() *monitoring.ControlStreamResponse {
	l.t.Helper()
	select {
	case message := <-l.heard:
		return message
	case err := <-l.ended:
		l.t.Fatalf("the stream ended with %v", err)
	case <-time.After(patience):
		l.t.Fatal("nothing was said")
	}
	return nil
}

func (l *line) config() payload.Config {
	l.t.Helper()
	message := l.next()
	if message.GetConfig() == nil {
		l.t.Fatalf("was told %v, want a configuration", message)
	}
	config, err := payload.DecodeConfig(message.GetConfig().GetConfigJson())
	if err != nil {
		l.t.Fatal(err)
	}
	return config
}

func (l *line) command() *monitoring.CommandRequest {
	l.t.Helper()
	message := l.next()
	if message.GetCommand() == nil {
		l.t.Fatalf("was told %v, want a command", message)
	}
	return message.GetCommand()
}

func (l *line) err() error {
	l.t.Helper()
	select {
	case err := <-l.ended:
		return err
	case <-time.After(patience):
		l.t.Fatal("the stream does not end")
	}
	return nil
}

func (l *line) say(message *monitoring.ControlStreamRequest) {
	l.t.Helper()
	select {
	case l.said <- message:
	case err := <-l.ended:
		l.t.Fatalf("the stream ended with %v", err)
	}
}

func (l *line) ack(id string) {
	l.t.Helper()
	l.say(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandAck{CommandAck: &monitoring.CommandAck{CommandId: id}}})
}

func (l *line) result(id string, success bool, message string, content any) {
	l.t.Helper()
	var encoded []byte
	if content != nil {
		encoded, _ = json.Marshal(content)
	}
	l.say(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandResult{
		CommandResult: &monitoring.CommandResult{CommandId: id, Success: success, Message: message, PayloadJson: encoded}}})
}

func (w *world) applied(peer certs.Peer, version string) *monitoring.ControlStreamRequest {
	return &monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_ConfigAck{ConfigAck: &monitoring.ConfigAck{ConfigVersion: version}}}
}

// syncing is a sync-now that goes on beside the test.
type syncing struct {
	mu       sync.Mutex
	progress []core.SyncProgress
	done     chan error
}

func syncNow(t *testing.T, c *core.Core, in core.SyncNowInput) *syncing {
	s := &syncing{done: make(chan error, 1)}
	go func() {
		s.done <- c.SyncNow(t.Context(), operator, in, func(p core.SyncProgress) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.progress = append(s.progress, p)
			return nil
		})
	}()
	return s
}

func (s *syncing) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(patience):
		t.Fatal("the sync does not end")
		return nil
	}
}

func (s *syncing) last() core.SyncProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress[len(s.progress)-1]
}
