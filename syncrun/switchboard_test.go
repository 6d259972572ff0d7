package syncrun_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

type controlServer = grpc.BidiStreamingServer[monitoring.ControlStreamRequest, monitoring.ControlStreamResponse]

func (g *fakeGateway) ControlStream(stream controlServer) error {
	g.called("ControlStream")
	g.mu.Lock()
	control := g.onControl
	g.mu.Unlock()
	if control == nil {
		return g.UnimplementedAgentGatewayServiceServer.ControlStream(stream)
	}
	return control(stream)
}

func (g *fakeGateway) setControl(control func(controlServer) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onControl = control
}

// switchboard is a gateway's side of the control streams, one after the other.
type switchboard struct {
	say chan *monitoring.ControlStreamResponse
	cut chan error

	mu     sync.Mutex
	heard  []*monitoring.ControlStreamRequest
	hellos []*monitoring.ControlStreamHello
}

func (w *world) switchboard() *switchboard {
	b := &switchboard{say: make(chan *monitoring.ControlStreamResponse), cut: make(chan error)}
	w.gateway.setControl(b.serve)
	w.gateway.settings.ConfigPollIntervalSec = 24 * 3600
	return b
}

func (b *switchboard) serve(stream controlServer) error {
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				return
			}
			b.mu.Lock()
			if hello := message.GetHello(); hello != nil {
				b.hellos = append(b.hellos, hello)
			} else {
				b.heard = append(b.heard, message)
			}
			b.mu.Unlock()
		}
	}()
	for {
		select {
		case message := <-b.say:
			if err := stream.Send(message); err != nil {
				return err
			}
		case err := <-b.cut:
			return err
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (b *switchboard) push(g *fakeGateway) {
	g.mu.Lock()
	config := &monitoring.AgentConfigResponse{ConfigVersion: fmt.Sprint("v", g.version), ConfigJson: g.config}
	g.mu.Unlock()
	b.say <- &monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Config{Config: config}}
}

func (b *switchboard) command(c *monitoring.CommandRequest) {
	b.say <- &monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Command{Command: c}}
}

func (b *switchboard) syncNow(id string, sources ...string) {
	order, _ := json.Marshal(payload.SyncNow{Sources: sources})
	b.command(&monitoring.CommandRequest{CommandId: id, CommandType: payload.CommandSyncNow, PayloadJson: order})
}

func (b *switchboard) messages() []*monitoring.ControlStreamRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*monitoring.ControlStreamRequest(nil), b.heard...)
}

func (b *switchboard) acked() []string {
	var versions []string
	for _, m := range b.messages() {
		if ack := m.GetConfigAck(); ack != nil {
			versions = append(versions, ack.GetConfigVersion())
		}
	}
	return versions
}

func (b *switchboard) acks(id string) int {
	n := 0
	for _, m := range b.messages() {
		if m.GetCommandAck().GetCommandId() == id {
			n++
		}
	}
	return n
}

func (b *switchboard) results(id string) []*monitoring.CommandResult {
	var list []*monitoring.CommandResult
	for _, m := range b.messages() {
		if result := m.GetCommandResult(); result.GetCommandId() == id {
			list = append(list, result)
		}
	}
	return list
}

func (b *switchboard) progress(t *testing.T, id string) []payload.SyncState {
	t.Helper()
	var list []payload.SyncState
	for _, m := range b.messages() {
		if p := m.GetCommandProgress(); p.GetCommandId() == id {
			state, err := payload.DecodeSyncState(p.GetPayloadJson())
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, state)
		}
	}
	return list
}

// result is the one result of a sync-now.
func (b *switchboard) result(t *testing.T, id string) (payload.SyncState, *monitoring.CommandResult) {
	t.Helper()
	results := b.results(id)
	if len(results) != 1 {
		t.Fatalf("got results %v", results)
	}
	state, err := payload.DecodeSyncState(results[0].GetPayloadJson())
	if err != nil {
		t.Fatal(err)
	}
	return state, results[0]
}
