package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"edgesync/certs"
	"edgesync/gateway"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

type controlClient = monitoring.AgentGatewayService_ControlStreamClient

func hello(agent string) *monitoring.ControlStreamRequest {
	return &monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_Hello{Hello: &monitoring.ControlStreamHello{
		AgentId: agent, Version: "1.2.3", Capabilities: []string{"sync"}, ConfigVersion: "v1",
	}}}
}

func commandAck(id string) *monitoring.ControlStreamRequest {
	return &monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandAck{CommandAck: &monitoring.CommandAck{CommandId: id}}}
}

func progressOf(id string, payload []byte) *monitoring.ControlStreamRequest {
	return &monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_CommandProgress{
		CommandProgress: &monitoring.CommandProgress{CommandId: id, PayloadJson: payload}}}
}

// control opens a ControlStream and says these things.
func (c client) control(t *testing.T, messages ...*monitoring.ControlStreamRequest) controlClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := c.ControlStream(ctx)
	must(t, err)
	for _, message := range messages {
		if err := stream.Send(message); err != nil {
			break // the answer says why
		}
	}
	return stream
}

// ending is how a stream ends, whatever it brings before.
func ending(stream controlClient) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestControlStreamCarriesBothWays(t *testing.T) {
	w := newWorld(t, nil)
	w.platform.control = func(ctx context.Context, c controlled) error {
		if err := c.send(&monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Command{
			Command: &monitoring.CommandRequest{CommandId: "c1", CommandType: "sync-now"}}}); err != nil {
			return err
		}
		message, err := c.next(ctx)
		if err != nil {
			return err
		}
		if message.GetCommandAck().GetCommandId() != "c1" {
			return status.Errorf(codes.Internal, "heard %v", message)
		}
		_, err = c.next(ctx)
		return err
	}
	stream := w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))
	command, err := stream.Recv()
	must(t, err)
	// A kind of message that this gateway does not know says nothing.
	must(t, stream.Send(&monitoring.ControlStreamRequest{}))
	must(t, stream.Send(commandAck(command.GetCommand().GetCommandId())))
	must(t, stream.CloseSend())
	if err := ending(stream); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
	if got := w.platform.hellos[0]; got.GetConfigVersion() != "v1" {
		t.Errorf("the platform was told %v", got)
	}
	w.await("the stream to be counted out", func() bool { return w.metric("control_streams") == 0 })
}

func TestControlStreamBeginsWithItsOwnHello(t *testing.T) {
	w := newWorld(t, nil)
	cert := w.edge("acme", "hq-sync")
	huge := hello("hq-sync")
	huge.GetHello().Hostname = strings.Repeat("x", payload.MaxIdentifier+1)
	nul := hello("hq-sync")
	nul.GetHello().Hostname = "a\x00b"
	for name, c := range map[string]struct {
		messages []*monitoring.ControlStreamRequest
		code     codes.Code
		text     string
	}{
		"another message first": {[]*monitoring.ControlStreamRequest{commandAck("c1")}, codes.InvalidArgument, "no hello"},
		"nothing in it":         {[]*monitoring.ControlStreamRequest{{}}, codes.InvalidArgument, "no hello"},
		"a sibling's":           {[]*monitoring.ControlStreamRequest{hello("sibling-sync")}, codes.PermissionDenied, `agent_id is not "hq-sync"`},
		"nobody's":              {[]*monitoring.ControlStreamRequest{hello("")}, codes.InvalidArgument, "agent_id is empty"},
		"twice":                 {[]*monitoring.ControlStreamRequest{hello("hq-sync"), hello("hq-sync")}, codes.InvalidArgument, "hello came again"},
		"another later":         {[]*monitoring.ControlStreamRequest{hello("hq-sync"), hello("other")}, codes.InvalidArgument, "hello came again"},
		"too long":              {[]*monitoring.ControlStreamRequest{huge}, codes.ResourceExhausted, "bytes long"},
		"with NUL":              {[]*monitoring.ControlStreamRequest{nul}, codes.InvalidArgument, "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, ending(w.dial(cert).control(t, c.messages...)), c.code, c.text)
		})
	}
	stream := w.dial(cert).control(t)
	must(t, stream.CloseSend())
	wantStatus(t, ending(stream), codes.InvalidArgument, "no hello")
	_, _, refused := w.platform.snapshot()
	if !slices.Contains(refused, "acme/hq-sync ControlStream agent_id_mismatch") {
		t.Errorf("the platform was told %v", refused)
	}
	if len(w.platform.said) != 0 {
		t.Errorf("the platform heard %v", w.platform.said)
	}
}

func TestControlStreamWithoutHelloIsCutOff(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.Arrival = 30 * time.Millisecond })
	wantStatus(t, ending(w.dial(w.edge("acme", "hq-sync")).control(t)), codes.DeadlineExceeded, "no hello came")
}

func TestOnlyOneControlStreamAConnection(t *testing.T) {
	w := newWorld(t, nil)
	cert := w.edge("acme", "hq-sync")
	c := w.dial(cert)
	first := c.control(t, hello("hq-sync"))
	w.await("the first stream", func() bool { return w.metric("control_streams") == 1 })
	err := ending(c.control(t, hello("hq-sync")))
	wantStatus(t, err, codes.ResourceExhausted, "open over this connection already")
	if len(status.Convert(err).Details()) == 0 {
		t.Error("the refusal does not say when to try again")
	}
	// The host may have lost a connection that is not noticed here yet.
	w.dial(cert).control(t, hello("hq-sync"))
	w.await("the stream of another connection", func() bool { return w.metric("control_streams") == 2 })
	must(t, first.CloseSend())
	if err := ending(first); !errors.Is(err, io.EOF) {
		t.Errorf("the first ended with %v", err)
	}
	w.await("the first to be counted out", func() bool { return w.metric("control_streams") == 1 })
	c.control(t, hello("hq-sync"))
	w.await("another in its place", func() bool { return w.metric("control_streams") == 2 })
}

func TestHostileControlMessagesEndTheStream(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.ControlRate, l.ControlBurst = 0.001, 20 })
	cert := w.edge("acme", "hq-sync")
	flood := []*monitoring.ControlStreamRequest{hello("hq-sync")}
	for range 21 {
		flood = append(flood, commandAck("c1"))
	}
	for name, c := range map[string]struct {
		messages []*monitoring.ControlStreamRequest
		text     string
	}{
		"huge payload": {[]*monitoring.ControlStreamRequest{hello("hq-sync"), progressOf("c1", make([]byte, 200<<10))}, "bytes long"},
		"beyond gRPC":  {[]*monitoring.ControlStreamRequest{hello("hq-sync"), progressOf("c1", make([]byte, 17<<20))}, ""},
		"long id":      {[]*monitoring.ControlStreamRequest{hello("hq-sync"), commandAck(strings.Repeat("x", 5000))}, "longer than"},
		"flood":        {flood, "too many messages"},
	} {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, ending(w.dial(cert).control(t, c.messages...)), codes.ResourceExhausted, c.text)
		})
	}
	other := w.dial(w.edge("globex", "hq-sync")).control(t, hello("hq-sync"), commandAck("mine"))
	w.await("another's message", func() bool {
		w.platform.mu.Lock()
		defer w.platform.mu.Unlock()
		return slices.ContainsFunc(w.platform.said, func(m *monitoring.ControlStreamRequest) bool { return m.GetCommandAck().GetCommandId() == "mine" })
	})
	must(t, other.CloseSend())
}

// A peer that is not admitted any more is cut off while it is silent, when it
// speaks, and before it is sent anything.
func TestControlStreamOfARevokedPeerEnds(t *testing.T) {
	denied := status.Error(codes.PermissionDenied, "revoked")
	revoke := func(certs.Peer) error { return denied }
	t.Run("silent", func(t *testing.T) {
		w := newWorld(t, func(l *gateway.Limits) { l.ControlCheck = 10 * time.Millisecond })
		stream := w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))
		w.await("the stream", func() bool { return w.metric("control_streams") == 1 })
		w.platform.setAdmit(func(certs.Peer) error { return errors.New("the store is away") })
		w.platform.setAdmit(revoke)
		wantStatus(t, ending(stream), codes.PermissionDenied, "revoked")
	})
	t.Run("speaking", func(t *testing.T) {
		w := newWorld(t, nil)
		stream := w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"), commandAck("c1"))
		w.await("the first message", func() bool { return w.metric("control_messages_total", "direction=in") == 1 })
		w.platform.setAdmit(revoke)
		must(t, stream.Send(commandAck("c2")))
		wantStatus(t, ending(stream), codes.PermissionDenied, "revoked")
		if len(w.platform.said) != 1 {
			t.Errorf("heard %v", w.platform.said)
		}
	})
	t.Run("listening", func(t *testing.T) {
		w := newWorld(t, nil)
		w.platform.control = func(_ context.Context, c controlled) error {
			w.platform.setAdmit(revoke)
			return c.send(&monitoring.ControlStreamResponse{})
		}
		wantStatus(t, ending(w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))), codes.PermissionDenied, "revoked")
	})
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t, func(l *gateway.Limits) { l.ControlCheck = 10 * time.Millisecond })
		stream := w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))
		w.await("the stream", func() bool { return w.metric("control_streams") == 1 })
		w.ahead.Store(int64(10 * 365 * 24 * time.Hour))
		wantStatus(t, ending(stream), codes.Unauthenticated, "expired")
	})
}

func TestControlStreamOfAClientThatDoesNotReadIsCutOff(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.StreamIdle = 50 * time.Millisecond })
	failed := make(chan error, 1)
	w.platform.control = func(_ context.Context, c controlled) error {
		// gzip makes nothing of zeros, so these are none.
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for {
			err := c.send(&monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Config{
				Config: &monitoring.AgentConfigResponse{ConfigJson: large}}})
			if err != nil {
				failed <- err
				return err
			}
		}
	}
	w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))
	select {
	case err := <-failed:
		wantStatus(t, err, codes.DeadlineExceeded, "not read")
	case <-time.After(patience):
		t.Fatal("the gateway goes on sending")
	}
	w.await("the stream to be gone", func() bool { return w.metric("control_streams") == 0 })
}

func TestControlStreamIsRenewedWithItsConnection(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.ConnectionAge = 50 * time.Millisecond })
	if err := ending(w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
}

func TestControlStreamsDoNotHoldUpTheStop(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.Drain = time.Minute })
	stream := w.dial(w.edge("acme", "hq-sync")).control(t, hello("hq-sync"))
	unborn := w.dial(w.edge("acme", "branch")).control(t)
	w.await("both streams", func() bool { return w.metric("control_streams") == 2 })
	w.stop()
	wantStatus(t, ending(stream), codes.Unavailable, "stopping")
	wantStatus(t, ending(unborn), codes.Unavailable, "stopping")
}

func TestLongConfigurationsArePushedCompressed(t *testing.T) {
	w := newWorld(t, nil)
	config := &monitoring.AgentConfigResponse{ConfigVersion: "v2", ConfigJson: bytes.Repeat([]byte(`{"a":"b"}`), 100_000)}
	w.platform.control = func(ctx context.Context, c controlled) error {
		if err := c.send(&monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Config{Config: config}}); err != nil {
			return err
		}
		_, err := c.next(ctx)
		return err
	}
	counter := &wireCounter{}
	c := w.dial(w.edge("acme", "hq-sync"), grpc.WithStatsHandler(counter))
	got, err := c.control(t, hello("hq-sync")).Recv()
	must(t, err)
	if !proto.Equal(got.GetConfig(), config) {
		t.Error("another configuration came")
	}
	if n := counter.received.Load(); n > 100_000 {
		t.Errorf("%d bytes came over the wire", n)
	}
}
