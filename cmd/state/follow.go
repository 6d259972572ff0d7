package state

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "edgesync/proto/admin/v1"
)

const (
	// glimpse is how often a platform that nobody serves is looked at by who
	// follows it, and glimpseShare how many times as long as the looking took.
	glimpse      = 2 * time.Second
	glimpseShare = 20
	// lookout is how often it is looked whether somebody serves it.
	lookout = 250 * time.Millisecond
)

// following is a stream of a platform for as long as somebody wants it. While
// somebody serves the platform it is his stream. While nobody does it is made of
// short looks, between which the platform is nobody's: serve can start.
type following struct {
	visitor *Visitor
	ctx     context.Context
	// request is what was asked for.
	request proto.Message
	// open begins the stream of whoever serves, or takes a look. A nil stream
	// means that message was filled by a look, or with none that there is no news.
	open func(ctx context.Context, request proto.Message, message proto.Message) (stream *borrowed, filled bool, err error)
	// served is the stream while somebody serves.
	served *borrowed
	// skip tells that a message was handed over before; nil means that none was.
	skip   func(message proto.Message) bool
	looked time.Time
	cost   time.Duration
}

// mostEvents is the most that a look reads of what is new.
const mostEvents = 10_000

// RecvMsg implements grpc.ClientStream.
func (f *following) RecvMsg(message any) error {
	m := message.(proto.Message)
	for {
		if f.served != nil {
			err := f.served.RecvMsg(message)
			if err == nil && f.skip != nil && f.skip(m) {
				proto.Reset(m)
				continue
			}
			return err
		}
		if err := f.wait(); err != nil {
			return err
		}
		began := time.Now()
		stream, filled, err := f.open(f.ctx, f.request, m)
		f.looked, f.cost = time.Now(), time.Since(began)
		switch {
		case err != nil:
			return err
		case stream != nil:
			f.served = stream
		}
		if filled {
			return nil
		}
	}
}

// wait returns when it is time to look again: after a while, after a call made
// here, and once somebody serves.
func (f *following) wait() error {
	if f.looked.IsZero() {
		return nil
	}
	next := time.NewTimer(time.Until(f.looked.Add(max(glimpse, glimpseShare*f.cost))))
	defer next.Stop()
	look := time.NewTicker(lookout)
	defer look.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return f.ctx.Err()
		case <-next.C:
			return nil
		case <-f.visitor.changed:
			return nil
		case <-look.C:
			if served(f.visitor.opts.Dir) {
				return nil
			}
		}
	}
}

// SendMsg implements grpc.ClientStream: it takes the request.
func (f *following) SendMsg(message any) error {
	f.request = message.(proto.Message)
	return nil
}

// CloseSend implements grpc.ClientStream.
func (f *following) CloseSend() error { return nil }

// Header implements grpc.ClientStream.
func (f *following) Header() (metadata.MD, error) { return nil, nil }

// Trailer implements grpc.ClientStream.
func (f *following) Trailer() metadata.MD { return nil }

// Context implements grpc.ClientStream.
func (f *following) Context() context.Context { return f.ctx }

// begin opens a server stream with its request.
func (v *Visitor) begin(ctx context.Context, method string, request proto.Message) (*borrowed, error) {
	stream, err := v.stream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	err = stream.SendMsg(request)
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		stream.end(err)
		if err == io.EOF { // What ended the stream is in its status.
			err = stream.ClientStream.RecvMsg(&adminv1.WatchUpdate{})
		}
		return nil, err
	}
	return stream, nil
}

// watch takes the first update of a Watch, which tells all there is.
func (v *Visitor) watch(ctx context.Context, request, message proto.Message) (*borrowed, bool, error) {
	stream, err := v.begin(ctx, adminv1.Admin_Watch_FullMethodName, request)
	if err != nil || !stream.local {
		return stream, false, err
	}
	defer stream.end(nil)
	return nil, true, stream.RecvMsg(message)
}

// tail is a TailEvents over a platform that nobody serves: what other commands
// record is read from the store.
type tail struct {
	visitor *Visitor
	asked   bool
	// since is the time of the latest event handed over, at first that of the
	// asking, and shown are the ids of those of that time.
	since  time.Time
	shown  map[string]bool
	unread []*adminv1.Event
}

// next fills message with the next event, if there is one.
func (t *tail) next(ctx context.Context, request, message proto.Message) (*borrowed, bool, error) {
	asked := request.(*adminv1.ListEventsRequest)
	if len(t.unread) == 0 {
		stream, err := t.look(ctx, asked)
		if stream != nil || err != nil {
			return stream, false, err
		}
	}
	if len(t.unread) == 0 {
		return nil, false, nil
	}
	proto.Merge(message, t.unread[0])
	t.unread = t.unread[1:]
	return nil, true, nil
}

// look reads what is new, or opens the stream of who serves the platform.
func (t *tail) look(ctx context.Context, asked *adminv1.ListEventsRequest) (*borrowed, error) {
	query := proto.CloneOf(asked)
	if past := query.GetLimit() > 0 || query.GetSince() != nil; t.asked || !past {
		query.Since, query.Limit = timestamppb.New(t.since), mostEvents
	}
	t.asked = true
	if served(t.visitor.opts.Dir) {
		return t.visitor.begin(ctx, adminv1.Admin_TailEvents_FullMethodName, query)
	}
	answer, err := adminv1.NewAdminClient(t.visitor).ListEvents(ctx, query)
	if err != nil {
		return nil, err
	}
	for _, event := range answer.GetEvents() {
		if !t.skip(event) {
			t.unread = append(t.unread, event)
		}
	}
	return nil, nil
}

// skip tells whether an event was handed over before, and remembers that it is.
func (t *tail) skip(message proto.Message) bool {
	event := message.(*adminv1.Event)
	if t.shown[event.GetId()] {
		return true
	}
	if at := event.GetTime().AsTime(); at.After(t.since) {
		t.since = at
		clear(t.shown)
	}
	t.shown[event.GetId()] = true
	return false
}
