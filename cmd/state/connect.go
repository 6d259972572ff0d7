package state

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/admin"
	adminv1 "edgesync/proto/admin/v1"
)

const (
	// patience is how long a command waits for another that has the directory
	// open, or for a serve that is starting or ending.
	patience = 10 * time.Second
	retry    = 50 * time.Millisecond
	// probe is how long a serve may take to answer whether it is there.
	probe = 5 * time.Second
)

// Connection is a client of the platform of a state directory.
type Connection struct {
	Client adminv1.AdminClient
	// Local tells that the platform is open in this process, and nobody serves it.
	Local bool
	calls grpc.ClientConnInterface
	close func() error
}

// Close gives the platform back.
func (c *Connection) Close() error { return c.close() }

// Connect opens the platform in this process, or where another has it open
// speaks to that one's socket.
func Connect(ctx context.Context, opts Options) (*Connection, error) {
	if err := checkKeyset(opts); err != nil {
		return nil, err
	}
	s, served, err := take(ctx, opts)
	switch {
	case err != nil:
		return nil, err
	case served != nil:
		return served, nil
	}
	return inProcess(s, opts)
}

// Open opens the platform for a process that stays, such as serve.
func Open(ctx context.Context, opts Options) (*State, error) {
	if err := checkKeyset(opts); err != nil {
		return nil, err
	}
	s, served, err := take(ctx, opts)
	if served != nil {
		return nil, errors.Join(alreadyServed(opts.Dir), served.Close())
	}
	return s, err
}

// take opens the platform as soon as no other process has it open, or connects
// to the one that serves it.
func take(ctx context.Context, opts Options) (*State, *Connection, error) {
	deadline := time.Now().Add(patience)
	for {
		s, err := open(ctx, opts)
		if !errors.Is(err, errHeld) {
			return s, nil, err
		}
		served, err := dial(ctx, opts)
		if !errors.Is(err, errHeld) {
			return nil, served, err
		}
		if time.Now().After(deadline) {
			return nil, nil, held(opts.Dir)
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(retry):
		}
	}
}

func inProcess(s *State, opts Options) (*Connection, error) {
	client, err := admin.InProcess(s.Core, admin.WithOrigin(opts.origin()), admin.WithLogger(opts.Logger))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Connection{Client: client, Local: true, calls: client.Calls(), close: func() error { return errors.Join(client.Close(), s.Close()) }}, nil
}

// dial reaches the serve that holds the directory. One that does not listen yet,
// or no more, is errHeld: it may be a moment later.
func dial(ctx context.Context, opts Options) (*Connection, error) {
	client, err := admin.Dial(Socket(opts.Dir), admin.WithOrigin(opts.origin()))
	if err != nil {
		return nil, err
	}
	probing, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	// Any answer, a refusal too, is for the command itself to get again.
	_, err = client.GetPlatform(probing, &adminv1.GetPlatformRequest{})
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return nil, errors.Join(errHeld, client.Close())
	}
	return &Connection{Client: client, calls: client.Calls(), close: client.Close}, nil
}
