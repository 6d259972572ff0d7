package core

import (
	"context"

	"github.com/google/uuid"
)

// PendingCommand is a command that was given and has not met its end. It is kept
// so that neither it nor its end is lost with the process that was asked for it.
type PendingCommand struct {
	Command
	// Acknowledged says that its service has begun it.
	Acknowledged bool
	// By is who asked for it, What it is in a few words, Ended the type of the
	// event that tells of its end. Its Wanted and Draft are not kept: a command with
	// one of them is of no use but to who waits for it.
	By, What, Ended string
}

// CommandTx is the part of a PlatformTx that keeps commands.
type CommandTx interface {
	// Commands are those of a service, or with the zero id all, oldest first.
	Commands(ctx context.Context, service uuid.UUID) ([]PendingCommand, error)
	Command(ctx context.Context, id uuid.UUID) (PendingCommand, error)
	PutCommand(ctx context.Context, command PendingCommand) error
	DeleteCommand(ctx context.Context, id uuid.UUID) error
}
