package syncrun

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

const (
	// callTimeout bounds Hello and heartbeats, configTimeout GetConfig, whose
	// answer may be long.
	callTimeout   = 15 * time.Second
	configTimeout = 2 * time.Minute
)

// session is what is agreed with the gateway.
type session struct {
	client  monitoring.AgentGatewayServiceClient
	options Options

	mu        sync.Mutex
	gatewayID string
	version   string
	heartbeat time.Duration
	poll      time.Duration
	// plain says that the gateway cannot read a compressed request, packed that it
	// reads packed results messages.
	plain, packed bool
	// ahead is how far the gateway's clock is ahead of this host's.
	ahead time.Duration
}

func newSession(conn *grpc.ClientConn, o Options) *session {
	return &session{client: monitoring.NewAgentGatewayServiceClient(conn), options: o, heartbeat: defaultHeartbeat, poll: defaultConfigPoll}
}

// hello announces the service and returns whether its configuration is outdated.
func (s *session) hello(ctx context.Context) (outdated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var header metadata.MD
	answer, err := s.client.Hello(ctx, &monitoring.AgentHelloRequest{
		AgentId: s.options.Config.AgentID, Version: s.options.Version, Capabilities: s.capabilities(), Hostname: s.options.Hostname,
		Os: runtime.GOOS, Arch: runtime.GOARCH, Partition: s.options.Config.Partition, ConfigVersion: s.configVersion(), ConfigSource: "gateway",
	}, grpc.Header(&header))
	if err != nil {
		return false, fmt.Errorf("announce to gateway %s: %w", s.options.Config.GatewayAddr, identified(err))
	}
	if !answer.GetAccepted() {
		return false, fmt.Errorf("announce to gateway %s: %w", s.options.Config.GatewayAddr,
			status.Error(codes.PermissionDenied, "it does not accept this service: "+answer.GetMessage()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gatewayID, s.packed = answer.GetGatewayId(), readsPacked(header)
	setSeconds(&s.heartbeat, answer.GetHeartbeatIntervalSec())
	if at := answer.GetServerTime(); at > 0 {
		s.ahead = time.Unix(at, 0).Sub(s.options.Now())
	}
	return answer.GetConfigOutdated(), nil
}

// readsPacked tells whether a gateway that answers so reads packed messages.
func readsPacked(header metadata.MD) bool {
	return slices.Contains(header.Get(payload.HeaderEncodings), payload.EncodingPacked)
}

func (s *session) capabilities() []string {
	list := []string{"sync"}
	for kind := range s.options.Adapters {
		list = append(list, kind)
	}
	sort.Strings(list[1:])
	return list
}

// config asks for a configuration newer than the last one accepted. The version
// it returns is only remembered by accept.
func (s *session) config(ctx context.Context) (*monitoring.AgentConfigResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	request := &monitoring.AgentConfigRequest{AgentId: s.options.Config.AgentID, ConfigVersion: s.configVersion()}
	options := []grpc.CallOption{grpc.MaxCallRecvMsgSize(maxConfig)}
	if !s.isPlain() {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	answer, err := s.client.GetConfig(ctx, request, options...)
	if status.Code(err) == codes.Unimplemented && !s.isPlain() {
		// A gateway without gzip says so with this code.
		answer, err = s.client.GetConfig(ctx, request, grpc.MaxCallRecvMsgSize(maxConfig))
		if err == nil {
			s.setPlain()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("get configuration from gateway %s: %w", s.options.Config.GatewayAddr, err)
	}
	s.settle(answer)
	return answer, nil
}

// settle takes the intervals that come with a configuration.
func (s *session) settle(answer *monitoring.AgentConfigResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	setSeconds(&s.heartbeat, answer.GetHeartbeatIntervalSec())
	setSeconds(&s.poll, answer.GetConfigPollIntervalSec())
}

// gatewayTime is what the gateway's clock says, as far as that is known.
func (s *session) gatewayTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Now().Add(s.ahead)
}

// openControl opens a control stream and introduces the service.
func (s *session) openControl(ctx context.Context) (monitoring.AgentGatewayService_ControlStreamClient, error) {
	stream, err := s.client.ControlStream(ctx, grpc.MaxCallRecvMsgSize(maxConfig))
	if err != nil {
		return nil, err
	}
	return stream, stream.Send(&monitoring.ControlStreamRequest{Payload: &monitoring.ControlStreamRequest_Hello{Hello: &monitoring.ControlStreamHello{
		AgentId: s.options.Config.AgentID, Partition: s.options.Config.Partition,
		Capabilities:  append(s.capabilities(), payload.CommandSyncNow, payload.CommandTestSource, payload.CommandTraceDevice),
		ConfigVersion: s.configVersion(), Version: s.options.Version, Hostname: s.options.Hostname,
		Os: runtime.GOOS, Arch: runtime.GOARCH, ConfigSource: "gateway",
	}}})
}

// push sends statuses and returns an error unless they were received.
func (s *session) push(ctx context.Context, statuses []*monitoring.GatewayServiceStatus) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.PushStatus(ctx, &monitoring.GatewayStatusRequest{
		Services: statuses, GatewayId: s.gateway(), AgentId: s.options.Config.AgentID,
		Timestamp: s.options.Now().Unix(), Partition: s.options.Config.Partition,
	})
	if err != nil {
		return fmt.Errorf("send heartbeat to gateway %s: %w", s.options.Config.GatewayAddr, err)
	}
	if !answer.GetReceived() {
		return fmt.Errorf("send heartbeat to gateway %s: it was not received", s.options.Config.GatewayAddr)
	}
	return nil
}

// setSeconds takes an interval the gateway named; it may leave it out.
func setSeconds(d *time.Duration, seconds int32) {
	if seconds > 0 {
		*d = time.Duration(seconds) * time.Second
	}
}

func (s *session) accept(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// assume takes the gateway to be the one there was before, until it says Hello.
func (s *session) assume(gateway string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gatewayID = gateway
}

func (s *session) configVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *session) gateway() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gatewayID
}

func (s *session) heartbeatInterval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heartbeat
}

func (s *session) pollInterval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll
}

func (s *session) mayPack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packed
}

func (s *session) isPlain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plain
}

func (s *session) setPlain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = true
}
