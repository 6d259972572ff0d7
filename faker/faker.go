// Package faker is an HTTP server that behaves like an Armis and a NetBox, with
// a seeded inventory behind each, address churn, tokens that expire and faults
// on demand. Demonstrations, tests and newcomers sync from it. It knows nothing
// of the programs that read it.
package faker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"edgesync/faker/inventory"
)

// What the faker accepts unless Options say otherwise. They guard invented
// devices only, so they are no secrets.
const (
	DemoSecret = "edgesync-demo-secret"
	DemoToken  = "0123456789abcdef0123456789abcdef01234567"
)

// DefaultTokenLife is how long an Armis access token is good for.
const DefaultTokenLife = 15 * time.Minute

// Options say what the server holds and whom it lets in.
type Options struct {
	// Armis is how many devices Armis has; NetBox is the sum of NetBox's devices
	// and virtual machines. Each is at most inventory.MaxDevices.
	Armis, NetBox int
	// Seed decides every device; equal seeds make equal devices.
	Seed uint64
	// ChurnEvery is how often all devices change their addresses; zero is never.
	ChurnEvery time.Duration
	// TokenLife is DefaultTokenLife when zero.
	TokenLife time.Duration
	// Secret is Armis's secret key and Token NetBox's API token; DemoSecret and
	// DemoToken when empty. A token that begins with "nbt_" is one of version 2.
	Secret, Token string
	// NetBoxLegacy answers as NetBox before 3.6 and 4.2 did: device_role, and
	// MAC addresses as a field of interfaces only.
	NetBoxLegacy bool
	// NextBase replaces scheme and host of NetBox's next links, as a NetBox
	// that does not know of the proxy before it does ("http://netbox.internal").
	NextBase string
	Faults   Faults
	// Now is time.Now when nil.
	Now func() time.Time
}

// Counts is how many devices a reader of each API must find.
type Counts struct {
	Armis, NetBoxDevices, NetBoxVMs int
}

// Server is the emulator, an http.Handler.
type Server struct {
	options   Options
	inventory inventory.Inventory
	counts    Counts
	queries   queryCache
	mux       *http.ServeMux
	start     time.Time
	// advanced is how many epochs Advance added to those of ChurnEvery.
	advanced atomic.Uint64
	// advancedAt is when Advance was called last, in Unix nanoseconds.
	advancedAt atomic.Int64
	// generation is part of every token; ExpireTokens raises it.
	generation atomic.Uint64
	faults     atomic.Pointer[Faults]
	// pages counts answered pages, for faults that hit every nth.
	pages atomic.Uint64
}

// New checks the options and makes the server.
func New(options Options) (*Server, error) {
	for name, count := range map[string]int{"armis": options.Armis, "netbox": options.NetBox} {
		if count < 0 || count > inventory.MaxDevices {
			return nil, fmt.Errorf("make %d %s devices: the number must be between 0 and %d", count, name, inventory.MaxDevices)
		}
	}
	if options.ChurnEvery < 0 || options.TokenLife < 0 {
		return nil, fmt.Errorf("make faker: churn interval and token life must not be negative")
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.TokenLife == 0 {
		options.TokenLife = DefaultTokenLife
	}
	if options.Secret == "" {
		options.Secret = DemoSecret
	}
	if options.Token == "" {
		options.Token = DemoToken
	}
	server := &Server{options: options, inventory: inventory.New(options.Seed), start: options.Now()}
	server.counts.Armis = options.Armis
	server.counts.NetBoxDevices, server.counts.NetBoxVMs = inventory.SplitNetBox(options.NetBox)
	server.SetFaults(options.Faults)
	server.routes()
	return server, nil
}

// Counts is what a complete sync of each API finds.
func (s *Server) Counts() Counts { return s.counts }

// Epoch counts how often all addresses have changed.
func (s *Server) Epoch() uint64 {
	epoch := s.advanced.Load()
	if s.options.ChurnEvery > 0 {
		epoch += uint64(max(0, s.options.Now().Sub(s.start)) / s.options.ChurnEvery)
	}
	return epoch
}

// Advance changes the addresses of all devices at once.
func (s *Server) Advance() {
	s.advancedAt.Store(s.options.Now().UnixNano())
	s.advanced.Add(1)
}

// changed is when all devices changed their addresses last; false while they
// never have.
func (s *Server) changed() (time.Time, bool) {
	last, any := time.Unix(0, s.advancedAt.Load()), s.advanced.Load() > 0
	if every := s.options.ChurnEvery; every > 0 {
		if n := max(0, s.options.Now().Sub(s.start)) / every; n > 0 {
			if at := s.start.Add(n * every); !any || at.After(last) {
				last, any = at, true
			}
		}
	}
	return last.UTC(), any
}

// ExpireTokens makes every Armis access token given out so far invalid.
func (s *Server) ExpireTokens() { s.generation.Add(1) }

// SetFaults replaces the faults in force and counts pages anew.
func (s *Server) SetFaults(faults Faults) {
	s.faults.Store(&faults)
	s.pages.Store(0)
}

// answer is what an endpoint says: a status, and a value to be sent as JSON.
type answer struct {
	status int
	body   any
	header map[string]string
}

func (s *Server) routes() {
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("POST /api/v1/access_token/{$}", s.plain(s.accessToken))
	s.mux.HandleFunc("GET /api/v1/search/{$}", s.page(s.search))
	for path, list := range map[string]lister{
		"/api/dcim/devices/":                    s.devices,
		"/api/virtualization/virtual-machines/": s.virtualMachines,
		"/api/dcim/interfaces/":                 s.interfaces,
		"/api/virtualization/interfaces/":       s.vmInterfaces,
	} {
		s.mux.HandleFunc("GET "+path+"{$}", s.page(s.netbox(list)))
	}
	s.mux.HandleFunc("/", s.plain(func(*http.Request) answer {
		return answer{status: http.StatusNotFound, body: detail("Not found.")}
	}))
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.wait(r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

// plain serves an endpoint that is no page of a listing: faults of pages spare it.
func (s *Server) plain(endpoint func(*http.Request) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		write(w, endpoint(r))
	}
}

func write(w http.ResponseWriter, a answer) {
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	send(w, a, body)
}

// send writes the head of an answer and what the caller left of its body.
// A reader that went away is its own affair, so write errors are dropped.
func send(w http.ResponseWriter, a answer, body []byte) {
	for key, value := range a.header {
		w.Header().Set(key, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// detail is an error as NetBox words it.
func detail(message string) map[string]string {
	return map[string]string{"detail": message}
}
