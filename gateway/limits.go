package gateway

import "time"

// Limits bound what one caller can make the gateway do. Rates are per second.
type Limits struct {
	// Message is the most bytes of one gRPC message, after decompression.
	Message int
	// TotalChunks is the most chunks a stream may announce.
	TotalChunks int32
	// Handshake is how long TLS and the HTTP/2 preface may take.
	Handshake time.Duration
	// Arrival is how long the request of a unary call may take to arrive, and
	// Call how long the whole call may take, its answer read.
	Arrival, Call time.Duration
	// StreamIdle is how long the gateway waits for one message of a stream.
	StreamIdle time.Duration
	// ConnectionAge is when a connection is asked to be made anew, so that a
	// client presents its renewed certificate and replicas share the load.
	// Streams in flight then have ConnectionAgeGrace to end.
	ConnectionAge, ConnectionAgeGrace time.Duration
	// Ping is the shortest time between pings that is no flood.
	Ping time.Duration
	// Connections is per component: a host and the half-open rests of it.
	Connections int
	// ConnectionStreams is per connection and at once.
	ConnectionStreams uint32
	// TenantStreams is how many StreamStatus calls a tenant's components, or the
	// platform's, may have at once.
	TenantStreams int
	// ControlMessage is the most bytes of what a client says in a ControlStream.
	ControlMessage int
	// ControlRate and ControlBurst are messages of one ControlStream; one that
	// passes them is cut off.
	ControlRate  float64
	ControlBurst int
	// ControlCheck is how often the peer of a silent ControlStream is admitted
	// anew. What the platform knows to have changed ends a stream at once.
	ControlCheck time.Duration
	// CallRate and CallBurst are per connection; calls beyond are refused.
	CallRate  float64
	CallBurst int
	// StreamRate and StreamBurst are per connection and count every HTTP/2
	// stream, reset ones too; a connection that passes them is closed.
	StreamRate  float64
	StreamBurst int
	// Drain is how long calls in flight may take to end when Serve is to stop.
	Drain time.Duration
}

// DefaultLimits fit real clients with a wide margin.
func DefaultLimits() Limits {
	return Limits{
		Message:            16 << 20,
		TotalChunks:        100_000,
		Handshake:          10 * time.Second,
		Arrival:            30 * time.Second,
		Call:               5 * time.Minute,
		StreamIdle:         2 * time.Minute,
		ConnectionAge:      time.Hour,
		ConnectionAgeGrace: time.Hour,
		Ping:               10 * time.Second,
		Connections:        16,
		ConnectionStreams:  128,
		TenantStreams:      64,
		ControlMessage:     128 << 10,
		ControlRate:        20,
		ControlBurst:       200,
		ControlCheck:       15 * time.Second,
		CallRate:           100,
		CallBurst:          400,
		StreamRate:         500,
		StreamBurst:        2000,
		Drain:              10 * time.Second,
	}
}
