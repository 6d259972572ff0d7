// Package gateway is the agent-gateway: the one server that edge hosts and the
// platform's sync services talk to. It decides who a caller is from the
// connection's certificate, holds the wire protocol's rules and limits, decodes
// what is carried once, and asks the platform through an interface of its own.
// It keeps nothing and knows neither stores nor tenants' records.
package gateway

import (
	"context"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// Platform is what the gateway needs of the platform behind it. An error that
// has a gRPC status is the caller's answer as it is; any other is logged and
// answered as Internal without its text.
type Platform interface {
	// Admit is asked at each call and at each message of a stream. It refuses
	// with PermissionDenied a suspended tenant and a removed or revoked service.
	Admit(ctx context.Context, peer certs.Peer) error
	Hello(ctx context.Context, peer certs.Peer, request *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error)
	Config(ctx context.Context, peer certs.Peer, request *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error)
	// Status is one PushStatus. health is never nil and may be empty.
	Status(ctx context.Context, peer certs.Peer, health []payload.Health) error
	// Ingest stores one stream. next hands over its chunks one at a time, in
	// order and within the protocol's rules, and io.EOF after the final one; the
	// client sends no faster than next is called. It ends with the context it is
	// given, and is not called any more once Ingest returns. Returning nil, which
	// only counts after io.EOF, promises that every update is durably stored.
	Ingest(ctx context.Context, peer certs.Peer, stream payload.Stream, next func(context.Context) (payload.Chunk, error)) error
	// Control is one ControlStream, from its hello on. next hands over what the
	// client says, within the protocol's rules, and io.EOF when it is done; it
	// ends with the context it is given. send ends with ctx. next and send may be
	// used at the same time, each by one goroutine. What ends the stream is what
	// Control returns.
	Control(ctx context.Context, peer certs.Peer, hello *monitoring.ControlStreamHello,
		next func(context.Context) (*monitoring.ControlStreamRequest, error),
		send func(*monitoring.ControlStreamResponse) error) error
	// Refused is a security event. operation is the rpc's name, or "Connect" for
	// a handshake; reason is a short constant. It may be called very often.
	Refused(ctx context.Context, peer certs.Peer, operation, reason string)
	// OnRevocation has tell called with each revocation from now on, once Admit
	// and the issuers refuse what it covers, until stop is called. tell does not
	// block.
	OnRevocation(tell func(certs.Revocation)) (stop func())
}

// Why a call, a connection or a claim is refused, beside the reasons of
// certs.Refusal: short constants, for counting and for events.
const (
	ReasonTypeNotAdmitted  = "type_not_admitted"
	ReasonAgentIDMissing   = "agent_id_missing"
	ReasonAgentIDMismatch  = "agent_id_mismatch"
	ReasonAgentIDChanged   = "agent_id_changed"
	ReasonTenantMismatch   = "tenant_mismatch"
	ReasonTenantMissing    = "tenant_missing"
	ReasonTenantChanged    = "tenant_changed"
	ReasonBadHeader        = "bad_header"
	ReasonChunkOrder       = "chunk_order"
	ReasonStreamIncomplete = "stream_incomplete"
	ReasonStreamIdle       = "stream_idle"
	ReasonTooManyServices  = "too_many_services"
	ReasonTooManyUpdates   = "too_many_updates"
	ReasonMessageTooLong   = "message_too_long"
	ReasonBadUpdate        = "bad_update"
	ReasonBadText          = "bad_text"
	ReasonWrongCall        = "results_in_push_status"
	ReasonCallRate         = "call_rate"
	ReasonStreamRate       = "stream_rate"
	ReasonTooManyStreams   = "too_many_streams"
	ReasonTooManyConns     = "too_many_connections"
	ReasonHelloMissing     = "hello_missing"
	ReasonHelloRepeated    = "hello_repeated"
	ReasonMessageRate      = "message_rate"
	ReasonNotRead          = "not_read"
)

// operationConnect names a handshake in Platform.Refused.
const operationConnect = "Connect"
