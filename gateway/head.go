package gateway

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"edgesync/proto/payload"
)

// readHead reads the call metadata of a stream. None of it is required: clients
// of others do not send it.
func (s *Server) readHead(ctx context.Context) (payload.Stream, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	head := payload.Stream{TotalDevices: -1}
	for _, field := range []struct {
		header string
		set    func(*payload.Stream, string) error
	}{
		{payload.HeaderRunID, setRunID},
		{payload.HeaderSourceID, setSourceID},
		{payload.HeaderMode, func(h *payload.Stream, v string) error { h.Mode = mode(v); return nil }},
		{payload.HeaderRunStarted, s.setRunStarted},
		{payload.HeaderTotalDevices, setTotalDevices},
	} {
		values := md.Get(field.header)
		if len(values) == 0 || values[0] == "" {
			continue
		}
		err := field.set(&head, values[0])
		if len(values) > 1 {
			err = fmt.Errorf("it is given %d times", len(values))
		}
		if err != nil {
			return head, s.refuse(codes.InvalidArgument, ReasonBadHeader, fmt.Sprintf("read header %s: %v", field.header, err))
		}
	}
	return head, nil
}

func setRunID(head *payload.Stream, value string) error {
	if len(value) > payload.MaxIdentifier {
		return fmt.Errorf("it is longer than %d bytes", payload.MaxIdentifier)
	}
	head.RunID = value
	return nil
}

func setSourceID(head *payload.Stream, value string) error {
	id, err := uuid.Parse(value)
	if err != nil {
		return fmt.Errorf("it is not a UUID")
	}
	head.SourceID = id.String()
	return nil
}

func (s *Server) setRunStarted(head *payload.Stream, value string) error {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || !payload.PlausibleTime(t, s.now()) {
		return fmt.Errorf("it is not a time in RFC 3339 between the year 2000 and now")
	}
	head.RunStarted = t
	return nil
}

func setTotalDevices(head *payload.Stream, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("it is not a count")
	}
	head.TotalDevices = n
	return nil
}

// mode takes a mode it does not know for the one that retracts nothing.
func mode(value string) string {
	if value == payload.ModeSnapshot {
		return payload.ModeSnapshot
	}
	return payload.ModeIncremental
}

// describe fills what the call metadata left open with what the first update
// says of its run.
func describe(head *payload.Stream, updates []payload.Update) {
	if len(updates) == 0 || updates[0].SyncMeta == nil {
		return
	}
	meta := updates[0].SyncMeta
	if head.RunID == "" {
		head.RunID = meta.SyncRunID
	}
	if head.Mode == "" && meta.Mode != "" {
		head.Mode = mode(meta.Mode)
	}
	if head.RunStarted.IsZero() && meta.RunStarted != nil {
		head.RunStarted = *meta.RunStarted
	}
	if head.TotalDevices < 0 && meta.TotalDevices > 0 {
		head.TotalDevices = int64(meta.TotalDevices)
	}
}
