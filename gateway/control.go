package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/proto/shell"
)

const operationControl = "ControlStream"

type controlStream = grpc.BidiStreamingServer[monitoring.ControlStreamRequest, monitoring.ControlStreamResponse]

// Why the gateway itself ends a ControlStream that is in order.
var (
	errRenew    = errors.New("the stream is to be opened anew")
	errStopping = status.Error(codes.Unavailable, "the gateway is stopping; connect again")
)

// ControlStream carries configurations and commands to a client and what became
// of them back, for as long as the client lives.
func (s *service) ControlStream(stream controlStream) error {
	if err := s.tooFast(stream.Context()); err != nil {
		return err
	}
	peer, err := s.admit(stream.Context(), operationControl)
	if err != nil {
		return err
	}
	info, _ := connectionOf(stream.Context())
	if !info.connection.controlled.CompareAndSwap(false, true) {
		s.count(ReasonTooManyStreams)
		return later(5*time.Second, "a ControlStream is open over this connection already; use that one")
	}
	defer info.connection.controlled.Store(false)
	s.metrics.controls.Inc()
	defer s.metrics.controls.Dec()
	ctx, end := context.WithCancelCause(stream.Context())
	defer end(nil)
	c := &control{
		Server: s.Server, stream: stream, peer: peer, end: end, messages: make(chan received),
		limiter: rate.NewLimiter(rate.Limit(s.limits.ControlRate), s.limits.ControlBurst),
	}
	return c.serve(ctx)
}

// control is one ControlStream.
type control struct {
	*Server
	stream  controlStream
	peer    certs.Peer
	end     context.CancelCauseFunc
	limiter *rate.Limiter
	// messages hands over what was received, one at a time: a client that sends
	// faster than it is listened to waits.
	messages chan received
}

type received struct {
	message *monitoring.ControlStreamRequest
	err     error
}

func (c *control) serve(ctx context.Context) error {
	c.receivers.Go(func() { c.receive(ctx) })
	hello, err := c.hello(ctx)
	if err != nil {
		return err
	}
	// It holds for the whole stream, and a configuration may be long.
	compress(ctx)
	c.receivers.Go(func() { c.watch(ctx) })
	err = c.platform.Control(ctx, c.peer, hello, c.next, func(m *monitoring.ControlStreamResponse) error { return c.send(ctx, m) })
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errRenew):
		return nil
	case cause != nil && c.stream.Context().Err() == nil:
		return cause
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// receive passes messages on until ctx or the stream ends. Recv itself ends with
// the call.
func (c *control) receive(ctx context.Context) {
	for {
		message, err := c.stream.Recv()
		select {
		case c.messages <- received{message, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// watch ends the stream when its peer is not admitted any more, when it is so
// old that the client should connect anew, and when the gateway stops. A store
// that cannot be asked for a moment ends nothing.
func (c *control) watch(ctx context.Context) {
	check := time.NewTicker(c.limits.ControlCheck)
	defer check.Stop()
	age := c.limits.ConnectionAge
	// Spread, so that clients that came together do not come back together.
	renew := time.NewTimer(age - time.Duration(rand.Float64()*float64(age/10)))
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.stopping:
			c.end(errStopping)
		case <-renew.C:
			c.end(errRenew)
		case <-check.C:
			_, err := c.admit(ctx, operationControl)
			if code := status.Code(err); code == codes.PermissionDenied || code == codes.Unauthenticated {
				c.end(err)
			}
		}
	}
}

// hello is the first message, which says who speaks.
func (c *control) hello(ctx context.Context) (*monitoring.ControlStreamHello, error) {
	limit := time.NewTimer(c.limits.Arrival)
	defer limit.Stop()
	var first received
	select {
	case first = <-c.messages:
	case <-c.stopping:
		return nil, errStopping
	case <-limit.C:
		return nil, c.refuse(codes.DeadlineExceeded, ReasonStreamIdle,
			fmt.Sprintf("no hello came within %s; begin the stream with one", shell.Duration(c.limits.Arrival)))
	}
	if errors.Is(first.err, io.EOF) || first.err == nil && first.message.GetHello() == nil {
		return nil, c.refuse(codes.InvalidArgument, ReasonHelloMissing, "the first message is no hello; begin the stream with one")
	}
	if first.err != nil {
		return nil, c.broken(first.err)
	}
	if err := c.checkSize(first.message); err != nil {
		return nil, err
	}
	hello := first.message.GetHello()
	if err := c.own(ctx, c.peer, operationControl, hello.GetAgentId()); err != nil {
		return nil, err
	}
	return hello, c.checkHello(hello)
}

// next is what the client says next. Messages of kinds this gateway does not
// know say nothing and are no error.
func (c *control) next(ctx context.Context) (*monitoring.ControlStreamRequest, error) {
	for {
		var in received
		select {
		case in = <-c.messages:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if in.err != nil {
			return nil, c.broken(in.err)
		}
		if err := c.check(ctx, in.message); err != nil {
			return nil, err
		}
		c.metrics.control.WithLabelValues("in").Inc()
		if in.message.GetPayload() != nil {
			return in.message, nil
		}
	}
}

// broken is the error of a receive, counted where it is gRPC's own limit.
func (c *control) broken(err error) error {
	if status.Code(err) == codes.ResourceExhausted {
		c.count(ReasonMessageTooLong)
	}
	return err
}

// check holds one message to the rules.
func (c *control) check(ctx context.Context, message *monitoring.ControlStreamRequest) error {
	if !c.limiter.Allow() {
		c.count(ReasonMessageRate)
		return later(5*time.Second, fmt.Sprintf("too many messages in one stream, the limit is %g a second; slow down", c.limits.ControlRate))
	}
	if _, err := c.admit(ctx, operationControl); err != nil {
		return err
	}
	if err := c.checkSize(message); err != nil {
		return err
	}
	id, text := "", ""
	switch said := message.GetPayload().(type) {
	case *monitoring.ControlStreamRequest_Hello:
		return c.refuse(codes.InvalidArgument, ReasonHelloRepeated, "hello came again; a stream has one")
	case *monitoring.ControlStreamRequest_CommandAck:
		id, text = said.CommandAck.GetCommandId(), said.CommandAck.GetMessage()
	case *monitoring.ControlStreamRequest_CommandProgress:
		id, text = said.CommandProgress.GetCommandId(), said.CommandProgress.GetMessage()
	case *monitoring.ControlStreamRequest_CommandResult:
		id, text = said.CommandResult.GetCommandId(), said.CommandResult.GetMessage()
	case *monitoring.ControlStreamRequest_ConfigAck:
		id = said.ConfigAck.GetConfigVersion()
	}
	if len(id) > payload.MaxIdentifier || len(text) > payload.MaxStatusMessage {
		return c.refuse(codes.ResourceExhausted, ReasonMessageTooLong,
			fmt.Sprintf("an id is longer than %d bytes or a text longer than %d", payload.MaxIdentifier, payload.MaxStatusMessage))
	}
	return nil
}

func (c *control) checkSize(message *monitoring.ControlStreamRequest) error {
	if size := proto.Size(message); size > c.limits.ControlMessage {
		return c.refuse(codes.ResourceExhausted, ReasonMessageTooLong,
			fmt.Sprintf("a message is %d bytes long, the limit is %d", size, c.limits.ControlMessage))
	}
	return nil
}

// send hands one message over, to a peer that is admitted at this moment and
// reads what it is sent.
func (c *control) send(ctx context.Context, message *monitoring.ControlStreamResponse) error {
	if _, err := c.admit(ctx, operationControl); err != nil {
		return err
	}
	sent := make(chan error, 1)
	c.receivers.Go(func() { sent <- c.stream.Send(message) })
	limit := time.NewTimer(c.limits.StreamIdle)
	defer limit.Stop()
	select {
	case err := <-sent:
		if err == nil {
			c.metrics.control.WithLabelValues("out").Inc()
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-limit.C:
		return c.refuse(codes.DeadlineExceeded, ReasonNotRead,
			fmt.Sprintf("what was sent was not read within %s; connect again", shell.Duration(c.limits.StreamIdle)))
	}
}
