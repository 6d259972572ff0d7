package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

const (
	// pushRest is how many times as long as it took the next configuration of
	// the same stream waits, so that a large one that changes all the time takes
	// a bounded part of a processor; and maxPushRest how long at most.
	pushRest    = 4
	maxPushRest = 5 * time.Second
)

// reasonForeignCommand is a report about a command that another service got.
const reasonForeignCommand = "foreign_command"

// Control holds one ControlStream: its service gets each configuration that
// differs from what it has, and commands; what it says of both is recorded. It
// ends when the peer is admitted no more, and with next's error.
func (c *Core) Control(ctx context.Context, peer certs.Peer, hello *monitoring.ControlStreamHello,
	next func(context.Context) (*monitoring.ControlStreamRequest, error), send func(*monitoring.ControlStreamResponse) error) error {
	a, err := c.member(ctx, peer)
	if err != nil {
		return err
	}
	if err := c.restore(ctx, a.service.ID); err != nil {
		return err
	}
	line := c.lines.attach(a)
	defer c.lines.detach(line)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return c.hear(ctx, peer, a.service, hello, next) })
	s := &speaker{core: c, peer: peer, line: line, send: send, version: hello.GetConfigVersion()}
	tasks.Go(func() error { return s.speak(ctx) })
	if err := tasks.Wait(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// hear takes what a service says until it ends its side, with io.EOF.
func (c *Core) hear(ctx context.Context, peer certs.Peer, service SyncService, hello *monitoring.ControlStreamHello,
	next func(context.Context) (*monitoring.ControlStreamRequest, error)) error {
	recorded := service.ConfigVersion
	applied := func(version string) error {
		if version == "" || version == recorded {
			return nil
		}
		recorded = version
		return c.recordConfig(ctx, peer, service, version)
	}
	if err := applied(hello.GetConfigVersion()); err != nil {
		return err
	}
	for {
		message, err := next(ctx)
		if err != nil {
			return err
		}
		if ack := message.GetConfigAck(); ack != nil {
			if err := applied(ack.GetConfigVersion()); err != nil {
				return err
			}
			continue
		}
		if report, ok := reportOf(message); ok {
			report.Service = service.ID
			c.takeCommandReport(ctx, peer, report)
		}
	}
}

// recordConfig keeps which configuration a service says it runs.
func (c *Core) recordConfig(ctx context.Context, peer certs.Peer, service SyncService, version string) error {
	tenant, err := c.tenantByID(ctx, peer.TenantID)
	if err != nil {
		return err
	}
	s, err := c.scopeOf(ctx, tenant)
	if err != nil {
		return err
	}
	err = s.store.Update(ctx, func(tx TenantTx) error {
		return tx.ConfigApplied(ctx, service.ID, clean(version, maxHelloText), c.now())
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("record configuration of %s: %w", service.ComponentID, err)
	}
	return nil
}

// reportOf reads what a message says of a command. Its times are the service's
// own clock and say nothing here.
func reportOf(message *monitoring.ControlStreamRequest) (CommandReport, bool) {
	var r CommandReport
	var id, text string
	switch said := message.GetPayload().(type) {
	case *monitoring.ControlStreamRequest_CommandAck:
		r.Kind, id, text = ReportAck, said.CommandAck.GetCommandId(), said.CommandAck.GetMessage()
	case *monitoring.ControlStreamRequest_CommandProgress:
		r.Kind, id, text = ReportProgress, said.CommandProgress.GetCommandId(), said.CommandProgress.GetMessage()
		r.Payload = said.CommandProgress.GetPayloadJson()
	case *monitoring.ControlStreamRequest_CommandResult:
		r.Kind, id, text = ReportResult, said.CommandResult.GetCommandId(), said.CommandResult.GetMessage()
		r.Payload, r.Success = said.CommandResult.GetPayloadJson(), said.CommandResult.GetSuccess()
	default:
		return r, false
	}
	r.Message = clean(text, maxReportText)
	var err error
	r.Command, err = uuid.Parse(id)
	return r, err == nil
}

// maxReportText is the most of a service's own words that is passed on.
const maxReportText = 1024

// takeCommandReport brings a report to who waits for it, here or elsewhere, and
// keeps what it says of how far the command has come. One about a command that
// was withdrawn or never given is only counted.
func (c *Core) takeCommandReport(ctx context.Context, peer certs.Peer, r CommandReport) {
	whose, first := c.lines.report(r)
	switch whose {
	case nobodys:
		if r.Kind == ReportResult {
			c.takeLate(ctx, peer, r)
		} else {
			c.metrics.commands.WithLabelValues("unknown").Inc()
		}
		return
	case forged:
		c.Refused(ctx, peer, "ControlStream", reasonForeignCommand)
		return
	case others:
		c.publish(ctx, Notice{Report: &r})
	case ours:
	}
	switch {
	case r.Kind == ReportResult:
		c.ended(ctx, r)
	case first:
		c.begun(ctx, r.Command)
	}
}

// speaker says to one service what there is to say.
type speaker struct {
	core    *Core
	peer    certs.Peer
	line    *line
	send    func(*monitoring.ControlStreamResponse) error
	version string
	// rested is when the next configuration may go out.
	rested time.Time
}

func (s *speaker) speak(ctx context.Context) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	owed := false
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.line.wake:
		case <-rest.C:
		}
		changed, commands := s.line.take()
		owed = owed || changed
		// A revoked peer is cut off at once, whatever there is to say.
		if _, err := s.core.member(ctx, s.peer); err != nil {
			return err
		}
		if wait := time.Until(s.rested); owed && wait > 0 && len(commands) == 0 {
			rest.Reset(wait)
			continue
		}
		if owed {
			if err := s.push(ctx); err != nil {
				return err
			}
			owed = false
		}
		for _, command := range commands {
			if err := s.command(ctx, command); err != nil {
				return err
			}
		}
	}
}

// push sends the configuration if the service has another.
func (s *speaker) push(ctx context.Context) error {
	began := time.Now()
	config, err := s.core.Config(ctx, s.peer, &monitoring.AgentConfigRequest{AgentId: s.peer.Component, ConfigVersion: s.version})
	if err != nil || config.GetNotModified() {
		return err
	}
	message := &monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Config{Config: config}}
	if err := s.send(message); err != nil {
		return err
	}
	s.version = config.GetConfigVersion()
	s.core.metrics.pushes.Inc()
	s.rested = time.Now().Add(min(pushRest*time.Since(began), maxPushRest))
	return nil
}

// command sends one command, unless it is too late for it or nobody waits.
func (s *speaker) command(ctx context.Context, command Command) error {
	if !s.core.lines.waits(command.ID) || s.core.now().Sub(command.CreatedAt) > command.Life {
		s.core.metrics.commands.WithLabelValues("expired").Inc()
		return nil
	}
	order, err := s.core.commandPayload(ctx, s.line.service, command)
	if err != nil {
		// What is wrong with one command must not cost the service its stream.
		s.core.log.Warn("give command", "command_type", command.Type, "component", s.peer.Component, "error", err)
		s.core.takeCommandReport(ctx, s.peer, CommandReport{
			Command: command.ID, Service: command.Service, Kind: ReportResult, Message: "what it is about has changed meanwhile",
		})
		return nil
	}
	s.core.metrics.commands.WithLabelValues("sent").Inc()
	return s.send(&monitoring.ControlStreamResponse{Payload: &monitoring.ControlStreamResponse_Command{Command: &monitoring.CommandRequest{
		CommandId: command.ID.String(), CommandType: command.Type, PayloadJson: order,
		TtlSeconds: int64(seconds(command.Life)), CreatedAt: command.CreatedAt.Unix(),
	}}})
}

// commandPayload is a command's content as its service reads it, made only where
// it is sent: what a test of a source holds is nothing for a relay.
func (c *Core) commandPayload(ctx context.Context, service uuid.UUID, command Command) ([]byte, error) {
	switch command.Type {
	case payload.CommandSyncNow:
		order := payload.SyncNow{}
		if command.Source != uuid.Nil {
			order.Sources = []string{command.Source.String()}
		}
		return json.Marshal(order)
	case payload.CommandTestSource:
		if len(command.Draft) > 0 {
			return c.openDraft(service, command)
		}
		test, err := c.storedTest(ctx, service, command)
		if err != nil {
			return nil, err
		}
		return json.Marshal(test)
	case payload.CommandTraceDevice:
		test, err := c.storedTest(ctx, service, command)
		if err != nil || command.Wanted == nil {
			return nil, err
		}
		return json.Marshal(payload.DeviceTrace{Key: test.Key, Source: test.Source, Wanted: *command.Wanted})
	}
	return nil, fmt.Errorf("encode command: unknown type %q", command.Type)
}

// storedTest is a source as it is stored now. One that was given to another
// service meanwhile is none of this one's business any more.
func (c *Core) storedTest(ctx context.Context, service uuid.UUID, command Command) (payload.SourceTest, error) {
	var test payload.SourceTest
	tenant, err := c.tenantByID(ctx, command.Tenant)
	if err != nil {
		return test, err
	}
	s, err := c.scopeOf(ctx, tenant)
	if err != nil {
		return test, err
	}
	var source Source
	err = s.store.View(ctx, func(tx TenantTx) error {
		source, err = tx.Source(ctx, command.Source)
		return err
	})
	if err != nil {
		return test, fmt.Errorf("read source %s: %w", command.Source, err)
	}
	owner, err := c.owner(ctx, s, source)
	if err != nil {
		return test, err
	}
	if owner.ID != service {
		return test, fmt.Errorf("test source %s: it was given to another service", command.Source)
	}
	entry, err := c.configEntry(tenant, owner.SyncService, source)
	if err != nil {
		return test, err
	}
	test.Key = entry.key
	return test, json.Unmarshal(entry.json, &test.Source)
}
