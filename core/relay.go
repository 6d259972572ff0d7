package core

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/proto/payload"
)

// Relay carries notices between the processes that serve one platform on one
// store: a service is connected to one of them, and what concerns it may happen
// in another. A notice that is lost costs no more than time: configurations are
// also polled, and who waits for a command is told that nobody answered. A
// Notice encodes to JSON and holds no credential that is not sealed.
type Relay interface {
	// Join returns a member's way to send to all the others. deliver is called
	// with what they send, one notice after the other, and returns at once.
	Join(deliver func(Notice)) (publish func(context.Context, Notice) error)
}

// Notice is one of the things processes tell each other.
type Notice struct {
	Refusal *Refusal       `json:"refusal,omitempty"`
	Change  *Change        `json:"change,omitempty"`
	Command *Command       `json:"command,omitempty"`
	Report  *CommandReport `json:"report,omitempty"`
}

// Change says that something of a tenant has changed: of the services named, or
// without any of all of the tenant and of the platform's.
type Change struct {
	Tenant   uuid.UUID   `json:"tenant"`
	Services []uuid.UUID `json:"services,omitempty"`
}

// Refusal says that identities are not accepted any more, or with State active
// that those of a tenant are again.
type Refusal struct {
	Revocation certs.Revocation `json:"revocation"`
	// Ended are the certificates that handshakes refuse from now on.
	Ended []Revocation `json:"ended,omitempty"`
	// State is the tenant's, where the refusal is about all of it.
	State TenantState `json:"state,omitempty"`
}

// Command is something a connected service is to do now.
type Command struct {
	ID uuid.UUID `json:"id"`
	// Type is one of the payload.Command constants.
	Type    string    `json:"type"`
	Service uuid.UUID `json:"service"`
	// Tenant and Source name the source it is about; zero for all of the service.
	Tenant uuid.UUID `json:"tenant"`
	Source uuid.UUID `json:"source"`
	// Wanted is the device of a trace.
	Wanted    *payload.Wanted `json:"wanted,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	Life      time.Duration   `json:"life"`
	// Draft is what a test of a source that is not saved holds, sealed.
	Draft []byte `json:"draft,omitempty"`
}

// CommandReport is what a service says of a command.
type CommandReport struct {
	Command uuid.UUID  `json:"command"`
	Service uuid.UUID  `json:"service"`
	Kind    ReportKind `json:"kind"`
	// Success counts for a result only.
	Success bool            `json:"success,omitempty"`
	Message string          `json:"message,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// ReportKind is the part of a command's life that a report is of.
type ReportKind string

// A command is acknowledged once, reported on any number of times, and ends with
// its result. One that is withdrawn has nobody waiting for it any more.
const (
	ReportAck       ReportKind = "ack"
	ReportProgress  ReportKind = "progress"
	ReportResult    ReportKind = "result"
	ReportWithdrawn ReportKind = "withdrawn"
)

// Hub is a Relay between the members of one process.
type Hub struct {
	mu      sync.Mutex
	members []*member
}

type member struct {
	mu      sync.Mutex
	deliver func(Notice)
}

// NewHub makes a Hub nobody has joined.
func NewHub() *Hub { return &Hub{} }

// Join implements Relay.
func (h *Hub) Join(deliver func(Notice)) func(context.Context, Notice) error {
	own := &member{deliver: deliver}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members = append(h.members, own)
	return func(_ context.Context, notice Notice) error {
		h.mu.Lock()
		members := slices.Clone(h.members)
		h.mu.Unlock()
		for _, other := range members {
			if other != own {
				other.take(notice)
			}
		}
		return nil
	}
}

func (m *member) take(notice Notice) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deliver(notice)
}
