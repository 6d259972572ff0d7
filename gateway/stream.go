package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/proto/shell"
	"edgesync/proto/tracing"
)

const operationStream = "StreamStatus"

type statusStream = grpc.ClientStreamingServer[monitoring.GatewayStatusChunk, monitoring.GatewayStatusResponse]

// StreamStatus takes device updates in chunks and answers once all are stored.
func (s *service) StreamStatus(stream statusStream) error {
	ctx := stream.Context()
	if err := s.tooFast(ctx); err != nil {
		return err
	}
	peer, err := s.admit(ctx, operationStream)
	if err != nil {
		return err
	}
	tenant := peer.TenantID.String()
	if !s.streams.take(tenant) {
		s.count(ReasonTooManyStreams)
		return later(5*time.Second, fmt.Sprintf("tenant %s has %d streams open, which is the limit; try again", peer.Tenant, s.pace.Load().TenantStreams))
	}
	defer s.streams.give(tenant)
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	// Now and not with the answer: the client waits for it before it sends.
	if err := stream.SendHeader(encodings()); err != nil {
		return err
	}
	return s.take(ctx, peer, stream)
}

// encodings says how results messages may be encoded.
func encodings() metadata.MD { return metadata.Pairs(payload.HeaderEncodings, payload.EncodingPacked) }

// take reads the first chunk, which says what the stream is, and has the
// platform pull the rest.
func (s *service) take(ctx context.Context, peer certs.Peer, stream statusStream) error {
	head, err := s.readHead(ctx)
	if err != nil {
		return err
	}
	in := &intake{Server: s.Server, stream: stream, peer: peer}
	began := time.Now()
	first, err := in.read(ctx)
	if err != nil {
		return err
	}
	if actsForTenants(peer) {
		head.TenantID = in.tenantID
	}
	describe(&head, first.Updates)
	ctx, span := s.follow(ctx, peer, head, began)
	err = s.ingest(ctx, peer, head, in, first)
	span.End(err)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&monitoring.GatewayStatusResponse{Received: true})
}

// follow begins the span of a stream: in the trace the client goes on with, else
// in that of its run. The context has the trace even where nothing is recorded.
func (s *Server) follow(ctx context.Context, peer certs.Peer, head payload.Stream, began time.Time) (context.Context, tracing.Span) {
	md, _ := metadata.FromIncomingContext(ctx)
	if header := md.Get(tracing.HeaderTraceParent); len(header) == 1 {
		ctx = tracing.Parent(ctx, header[0])
	}
	ctx, span := s.tracer.Start(tracing.OfRun(ctx, head.RunID), "stream", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began))
	span.Text("run_id", printable(head.RunID))
	span.Text("source_id", head.SourceID)
	span.Text("component", peer.Component)
	span.Text("tenant", peer.Tenant)
	return ctx, span
}

// printable is a client's text as it may be passed on.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

// ingest hands the stream to the platform, beginning with the first chunk.
func (s *service) ingest(ctx context.Context, peer certs.Peer, head payload.Stream, in *intake, first payload.Chunk) error {
	pending := &first
	err := s.platform.Ingest(ctx, peer, head, func(ctx context.Context) (payload.Chunk, error) {
		if pending != nil {
			chunk := *pending
			pending = nil
			return in.hand(chunk), nil
		}
		return in.next(ctx)
	})
	switch {
	case in.err != nil && (err == nil || errors.Is(err, in.err)): // whatever the platform made of it
		return in.err
	case err != nil:
		return err
	case !in.ended:
		return errors.New("store stream: it was acknowledged before its end")
	}
	return nil
}

// intake reads one stream and holds it to the rules. It is used by one goroutine.
type intake struct {
	*Server
	stream statusStream
	peer   certs.Peer
	// index is the next chunk's, total what the first chunk announced.
	index, total int32
	// tenantID is what the first chunk named, as a UUID prints.
	tenantID string
	services int
	// complete is true once the final chunk was read, ended once the reader was
	// told so.
	complete, ended bool
	err             error
	// unpacked is reused from message to message.
	unpacked []byte
}

// next is the chunk after the last one, or io.EOF after the final one. An error
// stays, unless it is that ctx ended before the stream: nobody reads on then.
func (in *intake) next(ctx context.Context) (payload.Chunk, error) {
	if in.err != nil {
		return payload.Chunk{}, in.err
	}
	if in.complete {
		in.ended = true
		return payload.Chunk{}, io.EOF
	}
	_, span := tracing.Below(ctx, "chunk")
	chunk, err := in.read(ctx)
	span.Count("chunk_index", int64(chunk.Index))
	span.Count("devices", int64(len(chunk.Updates)))
	span.End(err)
	if err != nil {
		if ctx.Err() == nil || in.stream.Context().Err() != nil {
			in.err = err
		}
		return payload.Chunk{}, err
	}
	return in.hand(chunk), nil
}

// hand counts a chunk that goes to ingestion.
func (in *intake) hand(chunk payload.Chunk) payload.Chunk {
	in.metrics.chunks.Inc()
	in.metrics.updates.Add(float64(len(chunk.Updates)))
	return chunk
}

// read receives, checks and decodes one chunk. The final one is handed on only
// once the client has ended its side, so that a stream that goes on after it
// never counts as complete.
func (in *intake) read(ctx context.Context) (payload.Chunk, error) {
	message, err := in.receive(ctx)
	if errors.Is(err, io.EOF) {
		return payload.Chunk{}, in.refuse(codes.InvalidArgument, ReasonStreamIncomplete,
			fmt.Sprintf("the stream ended after %d of %d chunks, without its final one; send it again", in.index, in.total))
	}
	if err != nil {
		return payload.Chunk{}, err
	}
	if err := in.check(ctx, message); err != nil {
		return payload.Chunk{}, err
	}
	updates, err := in.decode(message)
	if err != nil {
		return payload.Chunk{}, err
	}
	if message.GetIsFinal() {
		if err := in.expectEnd(ctx); err != nil {
			return payload.Chunk{}, err
		}
		in.complete = true
	}
	in.index++
	return payload.Chunk{
		Index: int(message.GetChunkIndex()), Total: int(in.total), Final: in.complete, Updates: updates,
	}, nil
}

// expectEnd waits for the client to end its side.
func (in *intake) expectEnd(ctx context.Context) error {
	_, err := in.receive(ctx)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return in.refuse(codes.InvalidArgument, ReasonChunkOrder,
		fmt.Sprintf("the stream goes on after chunk %d, which was marked final", in.index))
}

type receivedChunk struct {
	message *monitoring.GatewayStatusChunk
	err     error
}

// receive waits for a message, and for no longer than the limit, the identity's own
// end or that of ctx. Recv itself ends with the transport's call; where one of these
// comes first it ends with the call, which the caller now ends.
func (in *intake) receive(ctx context.Context) (*monitoring.GatewayStatusChunk, error) {
	result := make(chan receivedChunk, 1)
	in.receivers.Go(func() {
		message, err := in.stream.Recv()
		result <- receivedChunk{message, err}
	})
	idle := time.NewTimer(in.limits.StreamIdle)
	defer idle.Stop()
	stream := in.stream.Context()
	select {
	case <-ctx.Done():
		switch {
		case errors.Is(context.Cause(stream), errRevoked):
			return nil, errRevoked
		case stream.Err() == nil:
			return nil, ctx.Err()
		}
		return in.taken(<-result)
	case r := <-result:
		return in.taken(r)
	case <-idle.C:
		return nil, in.refuse(codes.DeadlineExceeded, ReasonStreamIdle,
			fmt.Sprintf("no whole chunk came within %s; send the stream again", shell.Duration(in.limits.StreamIdle)))
	}
}

// taken is what Recv came to.
func (in *intake) taken(r receivedChunk) (*monitoring.GatewayStatusChunk, error) {
	if status.Code(r.err) == codes.ResourceExhausted { // gRPC's own limit, also of what decompresses
		in.count(ReasonMessageTooLong)
	}
	return r.message, r.err
}
