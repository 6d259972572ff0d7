package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"edgesync/certs"
	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// service is the rpcs.
type service struct {
	monitoring.UnimplementedAgentGatewayServiceServer
	*Server
}

// What a GatewayServiceStatus of a sync runtime says it is.
const (
	serviceSync   = "sync"
	sourceResults = "results"
)

func isSyncResults(status *monitoring.GatewayServiceStatus) bool {
	return status.GetServiceType() == serviceSync && status.GetSource() == sourceResults
}

// Hello announces a client.
func (s *service) Hello(ctx context.Context, request *monitoring.AgentHelloRequest) (*monitoring.AgentHelloResponse, error) {
	peer, err := s.call(ctx, "Hello", request.GetAgentId())
	if err != nil {
		return nil, err
	}
	if err := s.checkHello(request); err != nil {
		return nil, err
	}
	_ = grpc.SetHeader(ctx, encodings()) // else the client sends plain JSON
	return s.platform.Hello(ctx, peer, request)
}

// maxHelloEntries is the most capabilities, and the most labels, of a Hello.
const maxHelloEntries = 256

// introduction is what a client says of itself, with Hello or at the start of a
// ControlStream.
type introduction interface {
	GetVersion() string
	GetHostname() string
	GetOs() string
	GetArch() string
	GetPartition() string
	GetConfigVersion() string
	GetConfigSource() string
	GetCapabilities() []string
	GetLabels() map[string]string
}

// checkHello bounds what the platform keeps of a client's word.
func (s *Server) checkHello(request introduction) error {
	if len(request.GetCapabilities()) > maxHelloEntries || len(request.GetLabels()) > maxHelloEntries {
		return s.refuse(codes.ResourceExhausted, ReasonMessageTooLong,
			fmt.Sprintf("there are more than %d capabilities or labels", maxHelloEntries))
	}
	texts := append([]string{
		request.GetVersion(), request.GetHostname(), request.GetOs(), request.GetArch(), request.GetPartition(),
		request.GetConfigVersion(), request.GetConfigSource(),
	}, request.GetCapabilities()...)
	for key, value := range request.GetLabels() {
		texts = append(texts, key, value)
	}
	for _, text := range texts {
		switch {
		case len(text) > payload.MaxIdentifier:
			return s.refuse(codes.ResourceExhausted, ReasonMessageTooLong,
				fmt.Sprintf("a field is %d bytes long, the limit is %d", len(text), payload.MaxIdentifier))
		case strings.IndexByte(text, 0) >= 0:
			return s.refuse(codes.InvalidArgument, ReasonBadText, "a field holds a NUL character")
		}
	}
	return nil
}

// compressFrom is how long a configuration is before it is worth compressing.
const compressFrom = 16 << 10

// GetConfig hands out the caller's configuration.
func (s *service) GetConfig(ctx context.Context, request *monitoring.AgentConfigRequest) (*monitoring.AgentConfigResponse, error) {
	peer, err := s.call(ctx, "GetConfig", request.GetAgentId())
	if err != nil {
		return nil, err
	}
	answer, err := s.platform.Config(ctx, peer, request)
	if err != nil {
		return nil, err
	}
	if len(answer.GetConfigJson()) >= compressFrom {
		compress(ctx)
	}
	return answer, nil
}

// compress has the answer compressed if the client can read that.
func compress(ctx context.Context) {
	supported, err := grpc.ClientSupportedCompressors(ctx)
	if err != nil {
		return
	}
	for _, name := range supported {
		if name == "gzip" {
			_ = grpc.SetSendCompressor(ctx, name) // else the answer goes as it is
			return
		}
	}
}

// PushStatus takes a heartbeat.
func (s *service) PushStatus(ctx context.Context, request *monitoring.GatewayStatusRequest) (*monitoring.GatewayStatusResponse, error) {
	const operation = "PushStatus"
	peer, err := s.call(ctx, operation, request.GetAgentId())
	if err != nil {
		return nil, err
	}
	if !actsForTenants(peer) {
		s.compareTenant(ctx, peer, operation, request.GetTenantId(), request.GetTenantSlug())
	}
	health, err := s.health(ctx, peer, request.GetServices())
	if err != nil {
		return nil, err
	}
	if err := s.platform.Status(ctx, peer, health); err != nil {
		return nil, err
	}
	return &monitoring.GatewayStatusResponse{Received: true}, nil
}

// health reads what a sync runtime says of itself in its statuses. Services of
// other types and messages that are no Health say nothing and are no error.
func (s *service) health(ctx context.Context, peer certs.Peer, services []*monitoring.GatewayServiceStatus) ([]payload.Health, error) {
	if len(services) > payload.MaxServices {
		return nil, s.refuse(codes.ResourceExhausted, ReasonTooManyServices,
			fmt.Sprintf("the request holds %d services, the limit is %d", len(services), payload.MaxServices))
	}
	health := []payload.Health{}
	for _, status := range services {
		if isSyncResults(status) && len(status.GetMessage()) > 0 {
			return nil, s.refuse(codes.InvalidArgument, ReasonWrongCall,
				"device updates are taken by StreamStatus only; send this results message there")
		}
		if status.GetServiceType() != serviceSync || len(status.GetMessage()) == 0 {
			continue
		}
		message := status.GetMessage()
		if len(message) > payload.MaxStatusMessage {
			message = message[:payload.MaxStatusMessage]
		}
		h, err := payload.DecodeHealth(message, s.now())
		if err != nil {
			s.log.DebugContext(ctx, "status message ignored", "component", peer.SPIFFE(), "error", err.Error())
			continue
		}
		health = append(health, h)
	}
	return health, nil
}

// sameID compares a UUID as a client spells it.
func sameID(text string, id uuid.UUID) bool {
	parsed, err := uuid.Parse(text)
	return err == nil && parsed == id
}
