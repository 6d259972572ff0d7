package syncrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun/outbox"
)

// errStalled ends a stream in which nothing moves.
var errStalled = errors.New("send run: the gateway takes nothing more and gives no answer")

// errShutdown ends a stream that is under way when the time to shut down is over.
var errShutdown = errors.New("send run: the runtime is shutting down")

// sendWhole sends a run as one stream of all its chunks.
func (r *Runtime) sendWhole(ctx context.Context, lease *outbox.Lease) (sent, error) {
	s, err := r.openStream(ctx, lease.Run, lease.Run.Mode, lease.Run.Updates)
	if err != nil {
		return sent{}, err
	}
	defer s.close()
	next, stop := ahead(lease, s.form())
	defer stop()
	updates := int64(0)
	for {
		chunk, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.send(chunk)
		}
		if err != nil {
			return sent{}, err
		}
		updates += int64(chunk.Updates)
		r.tell(lease.Run.Head, Event{Kind: Sent, Devices: lease.Run.Updates, Sent: updates})
	}
	if err := s.acknowledged(); err != nil {
		return sent{}, err
	}
	return sent{updates: updates}, nil
}

// ahead reads the chunks of a lease, each while the one before is being sent. stop
// waits for the reader, and is to be called before the lease is used again.
func ahead(lease *outbox.Lease, form outbox.Form) (next func() (outbox.Chunk, error), stop func()) {
	type read struct {
		chunk outbox.Chunk
		err   error
	}
	chunks, quit := make(chan read), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			chunk, err := lease.Next(form)
			select {
			case chunks <- read{chunk, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	})
	next = func() (outbox.Chunk, error) {
		r := <-chunks
		return r.chunk, r.err
	}
	return next, func() {
		close(quit)
		reader.Wait()
	}
}

// sendApart sends each chunk as a stream of its own, none of them a snapshot, so
// that one chunk the gateway refuses does not keep the others from it.
func (r *Runtime) sendApart(ctx context.Context, lease *outbox.Lease) (sent, error) {
	var total sent
	for {
		chunk, err := lease.Next(outbox.Apart)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return sent{}, err
		}
		number := chunk.Index
		chunk.Index, chunk.Total = 0, 1
		err = r.sendOne(ctx, lease.Run, chunk)
		switch {
		case err == nil:
			total.updates += int64(chunk.Updates)
			r.tell(lease.Run.Head, Event{Kind: Sent, Devices: lease.Run.Updates, Sent: total.updates})
		case refused(err) && status.Code(err) != codes.PermissionDenied:
			total.chunksAside++
			total.refused = append(total.refused, outbox.Refusal{Chunk: number, Why: cut(oneLine(reason(err)), maxSaid)})
			total.updatesLost += int64(chunk.Updates)
			if total.refusal == nil {
				total.refusal = err
			}
		default:
			return sent{}, err
		}
	}
}

func (r *Runtime) sendOne(ctx context.Context, run outbox.Run, chunk outbox.Chunk) error {
	s, err := r.openStream(ctx, run, payload.ModeIncremental, int64(chunk.Updates))
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.send(chunk); err != nil {
		return err
	}
	return s.acknowledged()
}

// stream is one StreamStatus call. It ends by itself when nothing moves for the
// stall timeout.
type stream struct {
	runtime *Runtime
	run     outbox.Run
	call    grpc.ClientStreamingClient[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]
	end     context.CancelCauseFunc
	stall   *time.Timer
	span    tracing.Span
	// err is how it ended, once it has.
	err error
	// waiting is for the gateway's first word.
	waiting sync.WaitGroup
}

func (s *stream) close() {
	s.end(nil)
	s.waiting.Wait()
}

// openStream waits for a connection for as long as ctx lasts. The stream then
// may take the shutdown timeout longer than ctx.
func (r *Runtime) openStream(ctx context.Context, run outbox.Run, mode string, devices int64) (*stream, error) {
	streamCtx, cancel := outlive(ctx, r.options.ShutdownTimeout)
	streamCtx, span := r.options.Tracer.Start(tracing.OfRun(streamCtx, run.ID), "stream", trace.WithSpanKind(trace.SpanKindClient))
	describe(span, run.Head)
	span.Count("devices", devices)
	stopWaiting := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	call, err := r.session.client.StreamStatus(runMetadata(streamCtx, run, mode, devices), grpc.WaitForReady(true))
	stopWaiting()
	if err != nil {
		err = causeOf(streamCtx, err)
		span.End(err)
		cancel(nil)
		return nil, err
	}
	s := &stream{runtime: r, run: run, call: call, span: span}
	s.end = func(cause error) {
		span.End(s.err)
		cancel(cause)
	}
	s.stall = time.AfterFunc(r.options.StallTimeout, func() { cancel(errStalled) })
	return s, nil
}

// worthPacking is how long a run's file must be to wait for the word of the
// gateway, which takes the way there and back, before anything is sent.
const worthPacking = 64 << 10

// packedPatience bounds that waiting; what is sent plain is never wrong.
const packedPatience = 5 * time.Second

// form is how the chunks of the run are sent: packed to a gateway that says over
// this very stream that it reads them so. What Hello said is only why it is
// asked: another gateway may have answered that.
func (s *stream) form() outbox.Form {
	if s.run.Bytes < worthPacking || !s.runtime.session.mayPack() {
		return outbox.Plain
	}
	header := make(chan metadata.MD, 1)
	s.waiting.Go(func() {
		md, _ := s.call.Header() // It ends with the call.
		header <- md
	})
	patience := time.NewTimer(packedPatience)
	defer patience.Stop()
	select {
	case md := <-header:
		if readsPacked(md) {
			return outbox.Packed
		}
	case <-patience.C:
	}
	return outbox.Plain
}

// outlive returns a context that ends a grace period after ctx, or with the
// function returned, which is to be called.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelCauseFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(errShutdown)
		case <-longer.Done():
		}
	})
	return longer, func(cause error) {
		stop()
		cancel(cause)
	}
}

func runMetadata(ctx context.Context, run outbox.Run, mode string, devices int64) context.Context {
	pairs := []string{
		payload.HeaderRunID, run.ID,
		payload.HeaderMode, mode,
		payload.HeaderRunStarted, run.Started.Format(time.RFC3339Nano),
		payload.HeaderTotalDevices, strconv.FormatInt(devices, 10),
	}
	if run.SourceID != "" {
		pairs = append(pairs, payload.HeaderSourceID, run.SourceID)
	}
	if header := tracing.Header(ctx); header != "" {
		pairs = append(pairs, tracing.HeaderTraceParent, header)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func (s *stream) send(chunk outbox.Chunk) error {
	_, span := tracing.Below(s.call.Context(), "chunk")
	span.Count("chunk_index", int64(chunk.Index))
	span.Count("devices", int64(chunk.Updates))
	s.err = s.hand(chunk)
	span.End(s.err)
	return s.err
}

// hand gives a chunk to the connection.
func (s *stream) hand(chunk outbox.Chunk) error {
	o := s.runtime.options
	message := &monitoring.GatewayStatusChunk{
		Services: []*monitoring.GatewayServiceStatus{{
			ServiceName: serviceName, Available: true, Message: chunk.Message, ServiceType: serviceName,
			AgentId: o.Config.AgentID, Partition: s.run.Partition, Source: "results",
		}},
		GatewayId: s.runtime.session.gateway(), AgentId: o.Config.AgentID, Timestamp: o.Now().Unix(), Partition: s.run.Partition,
		IsFinal: chunk.Final(), ChunkIndex: int32(chunk.Index), TotalChunks: int32(chunk.Total),
	}
	if s.run.TenantID != "" {
		message.TenantId, message.TenantSlug = s.run.TenantID, s.run.Tenant
	}
	err := s.call.Send(message)
	s.stall.Reset(s.runtime.options.StallTimeout)
	if errors.Is(err, io.EOF) {
		// The gateway has ended the call; its answer says why.
		if err := s.answer(); err != nil {
			return err
		}
		return errors.New("send run: the gateway answered before the run was complete")
	}
	return causeOf(s.call.Context(), err)
}

// acknowledged waits for the gateway's word that all of the stream is stored.
func (s *stream) acknowledged() error {
	if s.err = s.call.CloseSend(); s.err != nil {
		s.err = causeOf(s.call.Context(), s.err)
		return s.err
	}
	s.err = s.answer()
	return s.err
}

func (s *stream) answer() error {
	var answer monitoring.GatewayStatusResponse
	err := s.call.RecvMsg(&answer)
	s.stall.Stop()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("send run: the gateway ended the call without an answer")
		}
		return causeOf(s.call.Context(), err)
	}
	if !answer.GetReceived() {
		return errors.New("send run: the gateway did not acknowledge it")
	}
	return nil
}

// causeOf puts the reason of our own cancellation in the place of the status
// that tells of it.
func causeOf(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
