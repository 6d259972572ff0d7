package syncrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
)

const (
	// controlSettled is how long a control stream must have lived for the next
	// one to be opened without the pauses of a row of failures.
	controlSettled = 30 * time.Second
	// controlAbsent is when a gateway without control streams is asked again; it
	// is asked sooner when it was away.
	controlAbsent = 15 * time.Minute
)

// control keeps a control stream to the gateway: configurations come over it as
// soon as they change, and commands. Where the gateway has none, changes come
// with the next poll.
func (r *Runtime) control(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	var trouble streak
	absent := false
	pace := newBackoff()
	for {
		opened := time.Now()
		err := r.attend(ctx, &tasks)
		if ctx.Err() != nil {
			return
		}
		if time.Since(opened) >= controlSettled || err == nil {
			pace.Reset()
		}
		wait := pace.NextBackOff()
		switch {
		case err == nil:
			trouble.recovered(r.options.Logger, "control stream is open again")
		case status.Code(err) == codes.Unimplemented:
			wait = controlAbsent
			if !absent {
				absent = true
				r.options.Logger.Info("gateway has no control stream: its changes are polled for", "gateway", r.options.Config.GatewayAddr)
			}
		default:
			if time.Since(opened) >= controlSettled {
				trouble.recovered(r.options.Logger, "control stream was open again")
			}
			trouble.failed(r.options.Logger, "keep control stream", "gateway", r.options.Config.GatewayAddr, "error", err)
		}
		if !r.pause(ctx, wait, absent) {
			return
		}
	}
}

// pause waits before the next stream; news of the gateway ends the wait for one
// that had none.
func (r *Runtime) pause(ctx context.Context, wait time.Duration, absent bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	rejoin := r.rejoin
	if !absent {
		rejoin = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-rejoin:
	}
	return true
}

// attend holds one control stream until it ends; nil when the gateway ended it
// as planned. Commands go on when the stream is gone, in tasks.
func (r *Runtime) attend(ctx context.Context, tasks *sync.WaitGroup) error {
	streamCtx, end := context.WithCancel(ctx)
	stream, err := r.session.openControl(streamCtx)
	if stream == nil {
		end()
		return err
	}
	var speaking sync.WaitGroup
	defer speaking.Wait()
	defer end()
	if err == nil {
		r.commands.resume(r.options.Now())
		speaking.Go(func() {
			if err := r.commands.speak(streamCtx, stream.Send); err != nil {
				end()
			}
		})
	}
	for {
		message, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch said := message.GetPayload().(type) {
		case *monitoring.ControlStreamResponse_Config:
			r.takeConfig(said.Config)
		case *monitoring.ControlStreamResponse_Command:
			r.takeCommand(ctx, said.Command, tasks)
		}
	}
}

// takeConfig applies a pushed configuration and acknowledges it once it is in
// force.
func (r *Runtime) takeConfig(config *monitoring.AgentConfigResponse) {
	if err := r.pushed(config); err != nil {
		r.options.Logger.Warn("apply pushed configuration", "error", err)
		return
	}
	r.commands.say(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_ConfigAck{
		ConfigAck: &monitoring.ConfigAck{ConfigVersion: config.GetConfigVersion(), Timestamp: r.options.Now().Unix()},
	}})
}

// takeCommand begins a command, unless it is known already or comes too late.
func (r *Runtime) takeCommand(ctx context.Context, request *monitoring.CommandRequest, tasks *sync.WaitGroup) {
	c := &command{id: request.GetCommandId(), kind: request.GetCommandType(), now: r.options.Now, all: r.commands}
	if !r.commands.begin(c) {
		return
	}
	c.ack()
	if why := r.refuseCommand(request); why != "" {
		c.end(false, why, nil)
		return
	}
	tasks.Go(func() {
		defer r.commands.free()
		r.execute(ctx, c, request.GetPayloadJson())
	})
}

// maxCommands is how many commands are carried out at once.
const maxCommands = 16

// refuseCommand says why a command is not begun, or nothing.
func (r *Runtime) refuseCommand(request *monitoring.CommandRequest) string {
	created, life := request.GetCreatedAt(), time.Duration(request.GetTtlSeconds())*time.Second
	if created > 0 && life > 0 {
		if late := r.session.gatewayTime().Sub(time.Unix(created, 0).Add(life)); late > 0 {
			return fmt.Sprintf("the command came %s after its time", late.Round(time.Second))
		}
	}
	if _, ok := executors[request.GetCommandType()]; !ok {
		return fmt.Sprintf("this program does not know the command %q", request.GetCommandType())
	}
	if !r.commands.occupy() {
		return fmt.Sprintf("%d commands are under way, which is the limit; try again later", maxCommands)
	}
	return ""
}
