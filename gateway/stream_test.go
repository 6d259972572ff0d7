package gateway_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edgesync/gateway"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

func TestStreamIsAcknowledgedOnceAllIsStored(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	must(t, send(t.Context(), c, chunk("hq-sync", 0, 3), chunk("hq-sync", 1, 3), chunk("hq-sync", 2, 3)))
	chunks, complete, refused := w.platform.snapshot()
	if len(chunks) != 3 || complete != 1 || len(refused) != 0 {
		t.Fatalf("stored %d chunks, %d complete runs, refused %v", len(chunks), complete, refused)
	}
	for i, c := range chunks {
		if c.Index != i || c.Total != 3 || c.Final != (i == 2) || len(c.Updates) != 1 || c.Updates[0].IP != fmt.Sprintf("10.0.0.%d", i+1) {
			t.Errorf("chunk %d arrived as %+v", i, c)
		}
	}
	if n := w.metric("updates_total"); n != 3 {
		t.Errorf("counted %v updates, want 3", n)
	}
	if n := w.metric("rpcs_total", "method=StreamStatus", "code=OK"); n != 1 {
		t.Errorf("counted %v streams, want 1", n)
	}
}

func TestStreamSaysWhatRunItCarries(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	source, started := uuid.New(), time.Now().UTC().Truncate(time.Second)
	ctx := metadata.AppendToOutgoingContext(t.Context(), payload.HeaderRunID, "run-1", payload.HeaderSourceID, source.String(),
		payload.HeaderMode, "snapshot", payload.HeaderRunStarted, started.Format(time.RFC3339), payload.HeaderTotalDevices, "0")
	empty := chunk("hq-sync", 0, 1)
	empty.Services = []*monitoring.GatewayServiceStatus{results("[]")}
	must(t, send(ctx, c, empty))

	meta := chunk("hq-sync", 0, 1)
	meta.Services[0].Message = []byte(`[{"ip":"10.0.0.1","sync_meta":{"sync_run_id":"run-2","mode":"snapshot","total_devices":5}}]`)
	must(t, send(t.Context(), c, meta))
	must(t, send(t.Context(), c, chunk("hq-sync", 0, 1)))

	want := []payload.Stream{
		{SourceID: source.String(), RunID: "run-1", Mode: payload.ModeSnapshot, RunStarted: started, TotalDevices: 0},
		{RunID: "run-2", Mode: payload.ModeSnapshot, TotalDevices: 5},
		{TotalDevices: -1},
	}
	if got := w.platform.streams; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("streams were %+v, want %+v", got, want)
	}
}

func TestStreamRefusesBadCallMetadata(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	for header, value := range map[string]string{
		payload.HeaderSourceID:     "device:7",
		payload.HeaderRunStarted:   "9999-01-01T00:00:00Z",
		payload.HeaderTotalDevices: "-1",
		payload.HeaderRunID:        strings.Repeat("x", 2000),
	} {
		t.Run(header, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), header, value)
			wantStatus(t, send(ctx, c, chunk("hq-sync", 0, 1)), codes.InvalidArgument, header)
		})
	}
	if chunks, _, _ := w.platform.snapshot(); len(chunks) != 0 {
		t.Errorf("%d chunks were stored", len(chunks))
	}
}

// Every way to break the order of chunks is refused, the offending chunk is not
// stored and the run stays incomplete.
func TestStreamRefusesChunksOutOfOrder(t *testing.T) {
	const agent = "hq-sync"
	final := func(c *monitoring.GatewayStatusChunk, is bool) *monitoring.GatewayStatusChunk {
		c.IsFinal = is
		return c
	}
	at := func(index, total int32) *monitoring.GatewayStatusChunk {
		return final(chunk(agent, index, total), false)
	}
	for name, c := range map[string]struct {
		messages []*monitoring.GatewayStatusChunk
		stored   int
		text     string
	}{
		"gap":                    {[]*monitoring.GatewayStatusChunk{at(0, 4), at(2, 4)}, 1, "chunk_index is 2 where 1 was due"},
		"repeat":                 {[]*monitoring.GatewayStatusChunk{at(0, 4), at(1, 4), at(1, 4)}, 2, "chunk_index is 1 where 2 was due"},
		"begins at one":          {[]*monitoring.GatewayStatusChunk{at(1, 4)}, 0, "chunk_index is 1 where 0 was due"},
		"negative":               {[]*monitoring.GatewayStatusChunk{at(-1, 4)}, 0, "chunk_index is -1"},
		"most negative":          {[]*monitoring.GatewayStatusChunk{at(math.MinInt32, 4)}, 0, "chunk_index"},
		"at the total":           {[]*monitoring.GatewayStatusChunk{at(0, 2), at(2, 2)}, 1, "chunk_index is 2"},
		"beyond the total":       {[]*monitoring.GatewayStatusChunk{at(0, 2), at(math.MaxInt32, 2)}, 1, "chunk_index"},
		"total zero":             {[]*monitoring.GatewayStatusChunk{final(chunk(agent, 0, 0), true)}, 0, "total_chunks is 0"},
		"total negative":         {[]*monitoring.GatewayStatusChunk{at(0, -5)}, 0, "total_chunks is -5"},
		"total huge":             {[]*monitoring.GatewayStatusChunk{at(0, math.MaxInt32)}, 0, "total_chunks is 2147483647"},
		"total changing":         {[]*monitoring.GatewayStatusChunk{at(0, 3), at(1, 4)}, 1, "total_chunks changed from 3 to 4"},
		"final too early":        {[]*monitoring.GatewayStatusChunk{at(0, 3), final(at(1, 3), true)}, 1, "marked final, only the last may be"},
		"last not final":         {[]*monitoring.GatewayStatusChunk{at(0, 2), at(1, 2)}, 1, "not marked final"},
		"ends without final":     {[]*monitoring.GatewayStatusChunk{at(0, 3), at(1, 3)}, 2, "ended after 2 of 3 chunks"},
		"ends at once":           {nil, 0, "ended after 0"},
		"goes on after final":    {[]*monitoring.GatewayStatusChunk{chunk(agent, 0, 1), chunk(agent, 0, 1)}, 0, "goes on after chunk 0"},
		"two streams in one":     {[]*monitoring.GatewayStatusChunk{at(0, 2), chunk(agent, 1, 2), at(0, 2), chunk(agent, 1, 2)}, 1, "goes on after chunk 1"},
		"goes on with empty one": {[]*monitoring.GatewayStatusChunk{chunk(agent, 0, 1), {}}, 0, "goes on after chunk 0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			wantStatus(t, send(t.Context(), w.dial(w.edge("acme", agent)), c.messages...), codes.InvalidArgument, c.text)
			chunks, complete, _ := w.platform.snapshot()
			if len(chunks) != c.stored || complete != 0 {
				t.Errorf("stored %d chunks and %d complete runs, want %d and none", len(chunks), complete, c.stored)
			}
			if n := w.metric("refusals_total"); n != 1 {
				t.Errorf("counted %v refusals, want 1", n)
			}
		})
	}
}

func TestStreamRefusesHostileUpdatesWithTheirIndex(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	good := update("10.0.0.1")
	for name, bad := range map[string]struct {
		update string
		code   codes.Code
	}{
		"depth":          {`{"ip":"10.0.0.2","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, codes.InvalidArgument},
		"keys":           {`{"ip":"10.0.0.2"` + strings.Repeat(`,"a":0`, 1_000_000) + `}`, codes.InvalidArgument},
		"wrong type":     {`{"ip":["10.0.0.2"]}`, codes.InvalidArgument},
		"bad UTF-8":      {"{\"ip\":\"10.0.0.2\",\"hostname\":\"\xff\"}", codes.InvalidArgument},
		"NUL":            {`{"ip":"10.0.0.2","hostname":"a\u0000"}`, codes.InvalidArgument},
		"past":           {`{"ip":"10.0.0.2","timestamp":"1970-01-01T00:00:00Z"}`, codes.InvalidArgument},
		"future":         {`{"ip":"10.0.0.2","timestamp":"9999-01-01T00:00:00Z"}`, codes.InvalidArgument},
		"huge metadata":  {`{"ip":"10.0.0.2","metadata":{"a":"` + strings.Repeat("x", 20<<10) + `"}}`, codes.ResourceExhausted},
		"unrecognisable": {`{"hostname":"h"}`, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			before, _, _ := w.platform.snapshot()
			message := chunk("hq-sync", 1, 2)
			message.Services = []*monitoring.GatewayServiceStatus{results("[" + good + "," + good + "," + bad.update + "]")}
			err := send(t.Context(), c, chunk("hq-sync", 0, 2), message)
			wantStatus(t, err, bad.code, "chunk 1: update 2: ")
			if len(status.Convert(err).Details()) != 0 {
				t.Error("the refusal looks as if it were to be tried again")
			}
			after, complete, _ := w.platform.snapshot()
			if len(after) != len(before)+1 || complete != 0 {
				t.Errorf("stored %d chunks more and %d complete runs, want 1 and none", len(after)-len(before), complete)
			}
		})
	}
	if n := w.metric("refusals_total", "reason="+gateway.ReasonBadUpdate); n != 9 {
		t.Errorf("counted %v refusals, want 9", n)
	}
}

func TestStreamRefusesWhatPassesTheCaps(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	services := func(n int) []*monitoring.GatewayServiceStatus {
		all := make([]*monitoring.GatewayServiceStatus, n)
		for i := range all {
			all[i] = &monitoring.GatewayServiceStatus{ServiceType: "ping"}
		}
		return all
	}
	first, second := chunk("hq-sync", 0, 2), chunk("hq-sync", 1, 2)
	first.Services, second.Services = services(3000), services(2001)
	wantStatus(t, send(t.Context(), c, first, second), codes.ResourceExhausted, "more than 5000 services")

	long := chunk("hq-sync", 0, 1)
	long.Services[0].Message = []byte("[" + strings.Repeat(" ", payload.MaxResultsMessage) + "]")
	wantStatus(t, send(t.Context(), c, long), codes.ResourceExhausted, "results message")

	over := chunk("hq-sync", 0, 1)
	over.Services[0].Message = make([]byte, 17<<20)
	wantStatus(t, send(t.Context(), c, over), codes.ResourceExhausted, "")

	chunks, complete, _ := w.platform.snapshot()
	if len(chunks) != 1 || complete != 0 {
		t.Errorf("stored %d chunks, %d complete runs; want the first chunk of the first stream only", len(chunks), complete)
	}

	// 15 MiB sharp is not over the cap.
	most := chunk("hq-sync", 0, 1)
	most.Services[0].Message = []byte("[" + strings.Repeat(" ", payload.MaxResultsMessage-2) + "]")
	must(t, send(t.Context(), c, most))
}

func TestCompressionBombIsCutAtTheLimit(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"), grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	bomb := chunk("hq-sync", 0, 1)
	bomb.Services[0].Message = make([]byte, 64<<20)
	wantStatus(t, send(t.Context(), c, bomb), codes.ResourceExhausted, "")
	// gRPC answers before the gateway hears of it.
	w.await("the refusal", func() bool { return w.metric("refusals_total", "reason="+gateway.ReasonMessageTooLong) == 1 })
	_, err := c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync", Hostname: string(make([]byte, 64<<20))})
	wantStatus(t, err, codes.ResourceExhausted, "")
	must(t, send(t.Context(), c, chunk("hq-sync", 0, 1)))
}

func packed(message string) *monitoring.GatewayServiceStatus {
	return results(string(payload.AppendPacked(nil, []byte(message))))
}

// A client is told with Hello, and again before it sends, that it may pack.
func TestStreamTakesPackedMessages(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	var header metadata.MD
	_, err := c.Hello(t.Context(), &monitoring.AgentHelloRequest{AgentId: "hq-sync"}, grpc.Header(&header))
	must(t, err)
	if said := header.Get(payload.HeaderEncodings); len(said) != 1 || said[0] != payload.EncodingPacked {
		t.Errorf("Hello says %v", said)
	}
	stream, err := c.StreamStatus(t.Context())
	must(t, err)
	header, err = stream.Header()
	must(t, err)
	if said := header.Get(payload.HeaderEncodings); len(said) != 1 || said[0] != payload.EncodingPacked {
		t.Errorf("the stream says %v before anything was sent", said)
	}
	message := chunk("hq-sync", 0, 1)
	message.Services = []*monitoring.GatewayServiceStatus{packed("[" + update("10.0.0.1") + "]"), results("[" + update("10.0.0.2") + "]"), packed("[]")}
	must(t, stream.Send(message))
	_, err = stream.CloseAndRecv()
	must(t, err)
	chunks, _, _ := w.platform.snapshot()
	if len(chunks) != 1 || len(chunks[0].Updates) != 2 || chunks[0].Updates[0].IP != "10.0.0.1" || chunks[0].Updates[1].IP != "10.0.0.2" {
		t.Errorf("stored %+v, want one chunk of two updates", chunks)
	}
}

func TestPackedBombsAndRubbishAreRefused(t *testing.T) {
	whole := string(payload.AppendPacked(nil, []byte("["+strings.Repeat(" ", payload.MaxResultsMessage/2)+"]")))
	for name, c := range map[string]struct {
		messages []*monitoring.GatewayServiceStatus
		code     codes.Code
		text     string
	}{
		"a bomb":        {[]*monitoring.GatewayServiceStatus{packed(strings.Repeat(" ", payload.MaxResultsMessage+1))}, codes.ResourceExhausted, "unpacks to more than"},
		"many at once":  {[]*monitoring.GatewayServiceStatus{results(whole), results(whole)}, codes.ResourceExhausted, "unpacks to more than"},
		"a lying bomb":  {[]*monitoring.GatewayServiceStatus{results("\x00s2\x01\xff\xff\xff\xff\x0f")}, codes.ResourceExhausted, "unpacks to more than"},
		"cut":           {[]*monitoring.GatewayServiceStatus{results(whole[:len(whole)-1])}, codes.InvalidArgument, "cannot be unpacked"},
		"nothing in it": {[]*monitoring.GatewayServiceStatus{results("\x00s2\x01")}, codes.InvalidArgument, "cannot be unpacked"},
		"bad update":    {[]*monitoring.GatewayServiceStatus{packed("[" + update("10.0.0.1") + `,{"ip":7}]`)}, codes.InvalidArgument, "update 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			message := chunk("hq-sync", 0, 1)
			message.Services = c.messages
			wantStatus(t, send(t.Context(), w.dial(w.edge("acme", "hq-sync")), message), c.code, c.text)
			if chunks, complete, _ := w.platform.snapshot(); len(chunks)+complete != 0 {
				t.Error("something of it was stored")
			}
		})
	}
}

func TestStreamTakesEveryKindOfService(t *testing.T) {
	w := newWorld(t, nil)
	message := chunk("hq-sync", 0, 1)
	message.Services = []*monitoring.GatewayServiceStatus{
		{ServiceType: "sync", Source: "status", Message: []byte("{not json")},
		results("[" + update("10.0.0.1") + "]"),
		{ServiceType: "sweep", Source: "results", Message: []byte("anything")},
		{},
		results(""),
		results("[" + update("10.0.0.2") + "," + update("10.0.0.3") + "]"),
	}
	must(t, send(t.Context(), w.dial(w.edge("acme", "hq-sync")), message))
	chunks, _, _ := w.platform.snapshot()
	if len(chunks) != 1 || len(chunks[0].Updates) != 3 || chunks[0].Updates[2].IP != "10.0.0.3" {
		t.Errorf("stored %+v, want one chunk of three updates", chunks)
	}
}

// The client sends no faster than the platform stores: while the store stands
// still, what is on the way is bounded by flow control.
func TestStreamHoldsTheClientBack(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	w.platform.stored = func(ctx context.Context, _ payload.Chunk) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	c := w.dial(w.edge("acme", "hq-sync"))
	stream, err := c.StreamStatus(t.Context())
	must(t, err)
	const total = 40
	sent := make(chan int, total)
	go func() {
		defer close(sent)
		for i := range int32(total) {
			message := chunk("hq-sync", i, total)
			message.Services[0].Message = []byte("[" + update("10.0.0.1") + strings.Repeat(" ", 1<<20) + "]")
			if stream.Send(message) != nil {
				return
			}
			sent <- int(i)
		}
	}()
	w.await("the first chunk", func() bool { chunks, _, _ := w.platform.snapshot(); return len(chunks) == 1 })
	// What the client could send while nothing is stored is in its own buffers
	// and the windows; it stands still long before the end.
	last, still := -1, time.NewTimer(300*time.Millisecond)
	defer still.Stop()
	for running := true; running; {
		select {
		case last = <-sent:
			still.Reset(300 * time.Millisecond)
		case <-still.C:
			running = false
		}
	}
	if last >= total/2 {
		t.Errorf("the client could send %d of %d chunks while the store stood still", last+1, total)
	}
	close(release)
	for range sent {
	}
	_, err = stream.CloseAndRecv()
	must(t, err)
	if chunks, complete, _ := w.platform.snapshot(); len(chunks) != total || complete != 1 {
		t.Errorf("stored %d chunks, %d complete runs", len(chunks), complete)
	}
}

func TestIdleStreamIsEnded(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.StreamIdle = 100 * time.Millisecond })
	c := w.dial(w.edge("acme", "hq-sync"))
	for name, messages := range map[string][]*monitoring.GatewayStatusChunk{
		"before the first chunk": nil,
		"in mid-stream":          {chunk("hq-sync", 0, 2)},
		"final, never closed":    {chunk("hq-sync", 0, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := c.StreamStatus(t.Context())
			must(t, err)
			for _, message := range messages {
				if stream.Send(message) != nil {
					break // the machine stood still for so long; the answer is the same
				}
			}
			wantStatus(t, stream.RecvMsg(&monitoring.GatewayStatusResponse{}), codes.DeadlineExceeded, "no whole chunk came")
		})
	}
	if _, complete, _ := w.platform.snapshot(); complete != 0 {
		t.Errorf("%d runs are complete", complete)
	}
	if n := w.metric("refusals_total", "reason="+gateway.ReasonStreamIdle); n != 3 {
		t.Errorf("counted %v idle streams, want 3", n)
	}
}

// A store that is slow is not a client that is idle.
func TestSlowStoreIsNoIdleStream(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.StreamIdle = 2 * time.Second })
	w.platform.stored = func(ctx context.Context, _ payload.Chunk) error {
		select {
		case <-time.After(2400 * time.Millisecond): // the store's slowness is what is tested
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	must(t, send(t.Context(), w.dial(w.edge("acme", "hq-sync")), chunk("hq-sync", 0, 2), chunk("hq-sync", 1, 2)))
}

func TestStreamIsNotAcknowledgedWhenThePlatformFails(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))

	w.platform.ingested = func() error { return status.Error(codes.PermissionDenied, "source is another service's") }
	wantStatus(t, send(t.Context(), c, chunk("hq-sync", 0, 1)), codes.PermissionDenied, "source is another service's")

	w.platform.ingested = func() error { return fmt.Errorf("open /secret/path: disk on fire") }
	err := send(t.Context(), c, chunk("hq-sync", 0, 1))
	wantStatus(t, err, codes.Internal, "the platform could not do this")
	if strings.Contains(err.Error(), "secret") || !strings.Contains(w.logs.String(), "disk on fire") {
		t.Errorf("answered %v; the log says %s", err, w.logs.String())
	}

	w.platform.ingested = func() error { panic("canary") }
	err = send(t.Context(), c, chunk("hq-sync", 0, 1))
	wantStatus(t, err, codes.Internal, "the platform could not do this")
	if strings.Contains(err.Error(), "canary") || !strings.Contains(w.logs.String(), "canary") {
		t.Errorf("answered %v", err)
	}

	w.platform.stored = func(context.Context, payload.Chunk) error {
		return status.Error(codes.Unavailable, "the store is away")
	}
	wantStatus(t, send(t.Context(), c, chunk("hq-sync", 0, 2), chunk("hq-sync", 1, 2)), codes.Unavailable, "the store is away")
}

// A platform may ask for the next chunk before it is done with one. What became of
// the earlier is the answer, and a chunk that was yet to come is not waited for.
func TestThePlatformReadsAhead(t *testing.T) {
	hostile := chunk("hq-sync", 1, 2)
	hostile.Services[0].Message = []byte(`[{"ip":7}]`)
	for name, c := range map[string]struct {
		// second is sent after the first chunk, unless it is nil; stored is what became
		// of the first.
		second *monitoring.GatewayStatusChunk
		stored error
		code   codes.Code
	}{
		"the first fails, none follows":      {nil, status.Error(codes.Unavailable, "later"), codes.Unavailable},
		"the first fails, a bad one follows": {hostile, status.Error(codes.Unavailable, "later"), codes.Unavailable},
		"a bad one follows":                  {hostile, nil, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.platform.ingest = func(ctx context.Context, next func(context.Context) (payload.Chunk, error)) error {
				if _, err := next(ctx); err != nil {
					return err
				}
				ahead, end := context.WithCancel(ctx)
				defer end()
				read := make(chan error, 1)
				go func() {
					_, err := next(ahead)
					read <- err
				}()
				if c.second != nil {
					read <- <-read // It has come by the time the first is stored.
				}
				if c.stored != nil {
					end()
					<-read
					return c.stored
				}
				return fmt.Errorf("ingest: %w", <-read)
			}
			stream, err := w.dial(w.edge("acme", "hq-sync")).StreamStatus(t.Context())
			must(t, err)
			must(t, stream.Send(chunk("hq-sync", 0, 2)))
			if c.second != nil {
				must(t, stream.Send(c.second))
			}
			wantStatus(t, stream.RecvMsg(&monitoring.GatewayStatusResponse{}), c.code, "")
		})
	}
}

func TestTenantHasSoManyStreams(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.TenantStreams = 2 })
	acme, globex := w.dial(w.edge("acme", "hq-sync")), w.dial(w.edge("globex", "hq-sync"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		stream, err := acme.StreamStatus(ctx)
		must(t, err)
		must(t, stream.Send(chunk("hq-sync", 0, 2)))
	}
	w.await("two streams", func() bool { return w.metric("streams") == 2 })
	err := send(t.Context(), acme, chunk("hq-sync", 0, 1))
	wantStatus(t, err, codes.ResourceExhausted, "2 streams open")
	if len(status.Convert(err).Details()) != 1 {
		t.Error("the refusal has no RetryInfo: a client would take it for permanent")
	}
	must(t, send(t.Context(), globex, chunk("hq-sync", 0, 1)))
	cancel()
	w.await("no stream", func() bool { return w.metric("streams") == 0 })
	must(t, send(t.Context(), acme, chunk("hq-sync", 0, 1)))
}

func TestServeDrainsWhatIsInFlight(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(w.edge("acme", "hq-sync"))
	stream, err := c.StreamStatus(t.Context())
	must(t, err)
	must(t, stream.Send(chunk("hq-sync", 0, 2)))
	w.await("the first chunk", func() bool { chunks, _, _ := w.platform.snapshot(); return len(chunks) == 1 })
	w.stop()
	w.await("no new connections", func() bool {
		conn, err := net.Dial("tcp", w.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	must(t, stream.Send(chunk("hq-sync", 1, 2)))
	_, err = stream.CloseAndRecv()
	must(t, err)
	if err := <-w.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	w.served <- nil
}

func TestServeCutsOffWhatDoesNotEnd(t *testing.T) {
	w := newWorld(t, func(l *gateway.Limits) { l.Drain = 50 * time.Millisecond })
	c := w.dial(w.edge("acme", "hq-sync"))
	stream, err := c.StreamStatus(t.Context())
	must(t, err)
	must(t, stream.Send(chunk("hq-sync", 0, 2)))
	w.await("the first chunk", func() bool { chunks, _, _ := w.platform.snapshot(); return len(chunks) == 1 })
	w.stop()
	if err := <-w.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	w.served <- nil
	wantStatus(t, stream.RecvMsg(&monitoring.GatewayStatusResponse{}), codes.Unavailable, "")
}
