package state

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "edgesync/proto/admin/v1"
)

// linger is how long a platform stays open in this process after a call: a
// command makes its few calls on one, and one that waits for a person keeps
// nobody from starting serve.
const linger = 300 * time.Millisecond

// Visitor is a client of the platform of a state directory that has it open in
// this process only while a call lasts, where nobody serves it. Calls go to
// whoever serves it as soon as somebody does, and come back when he ends.
type Visitor struct {
	opts Options

	// local tells how the last call was made.
	local atomic.Bool
	// changed wakes what follows the platform after a call made here that may
	// have changed something.
	changed chan struct{}

	mu sync.Mutex
	// now is the connection that calls are made on; nil while there is none.
	now    *visit
	closed bool
}

// visit is a connection with those who use it.
type visit struct {
	*Connection
	users int
	// left is the timer that ends it once nobody does.
	left  *time.Timer
	ended bool
}

func (on *visit) end() error {
	if on.ended {
		return nil
	}
	on.ended = true
	return on.close()
}

// Visit returns a client of the platform in opts.Dir, which must be there. The
// first call is made on what was opened to find that out.
func Visit(ctx context.Context, opts Options) (*Visitor, error) {
	if err := checkKeyset(opts); err != nil {
		return nil, err
	}
	v := &Visitor{opts: opts, changed: make(chan struct{}, 1)}
	on, err := v.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return v, v.release(on, nil)
}

// Client makes its calls through the visitor.
func (v *Visitor) Client() adminv1.AdminClient { return adminv1.NewAdminClient(v) }

// Local tells that nobody served the platform when it was called last.
func (v *Visitor) Local() bool { return v.local.Load() }

// Close gives the platform back. Calls under way end.
func (v *Visitor) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	return v.leave()
}

// leave ends the connection of now.
func (v *Visitor) leave() error {
	if v.now == nil {
		return nil
	}
	on := v.now
	v.now = nil
	if on.left != nil {
		on.left.Stop()
	}
	return on.end()
}

var errVisitEnded = errors.New("use platform: its connection is closed")

// acquire returns the connection to make a call on. It must be released.
func (v *Visitor) acquire(ctx context.Context) (*visit, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, errVisitEnded
	}
	if v.now == nil {
		connection, err := Connect(ctx, v.opts)
		if err != nil {
			return nil, err
		}
		v.now = &visit{Connection: connection}
		v.local.Store(connection.Local)
	}
	if v.now.left != nil {
		v.now.left.Stop()
		v.now.left = nil
	}
	v.now.users++
	return v.now, nil
}

// release ends the use of a connection after a call that ended with failure. One
// that has the platform open here is closed soon, and one to who does not answer
// is not used again.
func (v *Visitor) release(on *visit, failure error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	on.users--
	gone := !on.Local && status.Code(failure) == codes.Unavailable
	switch {
	case v.now != on && on.users == 0:
		return on.end()
	case v.now != on:
	case gone && on.users == 0:
		return v.leave()
	case gone:
		v.now = nil // Its last user ends it.
	case on.Local && on.users == 0:
		on.left = time.AfterFunc(linger, func() { v.expire(on) })
	}
	return nil
}

// expire closes a connection that nobody has used for a while.
func (v *Visitor) expire(on *visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now != on || on.users > 0 || on.left == nil {
		return
	}
	if err := v.leave(); err != nil && v.opts.Logger != nil {
		v.opts.Logger.Error("close platform", "error", err)
	}
}

// Invoke implements grpc.ClientConnInterface.
func (v *Visitor) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	on, err := v.acquire(ctx)
	if err != nil {
		return err
	}
	err = on.calls.Invoke(ctx, method, args, reply, opts...)
	closing := v.release(on, err)
	if !reads(method) {
		select {
		case v.changed <- struct{}{}:
		default:
		}
	}
	if err == nil {
		err = closing
	}
	return err
}

// reads tells whether a method changes nothing.
func reads(method string) bool {
	name := method[strings.LastIndexByte(method, '/')+1:]
	for _, verb := range []string{"Get", "List", "Count", "Explain", "Simulate"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}

// NewStream implements grpc.ClientConnInterface.
func (v *Visitor) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	switch method {
	case adminv1.Admin_Watch_FullMethodName:
		return &following{visitor: v, ctx: ctx, open: v.watch}, nil
	case adminv1.Admin_TailEvents_FullMethodName:
		t := &tail{visitor: v, since: v.opts.Now(), shown: map[string]bool{}}
		return &following{visitor: v, ctx: ctx, open: t.next, skip: t.skip}, nil
	}
	return v.stream(ctx, desc, method, opts...)
}

// stream opens one on a connection, and releases that when it ends.
func (v *Visitor) stream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (*borrowed, error) {
	on, err := v.acquire(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := on.calls.NewStream(ctx, desc, method, opts...)
	if err != nil {
		cancel()
		return nil, errors.Join(err, v.release(on, err))
	}
	b := &borrowed{ClientStream: stream, local: on.Local}
	var once sync.Once
	b.end = func(failure error) {
		once.Do(func() {
			cancel()
			if err := v.release(on, failure); err != nil && v.opts.Logger != nil {
				v.opts.Logger.Error("close platform", "error", err)
			}
		})
	}
	context.AfterFunc(ctx, func() { b.end(nil) })
	return b, nil
}

// borrowed is a stream on a connection that others use, too.
type borrowed struct {
	grpc.ClientStream
	local bool
	end   func(failure error)
}

// RecvMsg implements grpc.ClientStream.
func (b *borrowed) RecvMsg(message any) error {
	err := b.ClientStream.RecvMsg(message)
	if err != nil {
		b.end(err)
	}
	return err
}

// served tells whether somebody listens on the admin socket.
func served(dir string) bool {
	conn, err := net.Dial("unix", Socket(dir))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
