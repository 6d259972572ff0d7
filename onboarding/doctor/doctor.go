// Package doctor looks at a sync service's host for whatever keeps it from
// working, from its config to an answer of the gateway, and says what to mend.
// It changes nothing, and knows neither the platform nor a terminal.
package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/onboarding"
)

// Result is what a check came to.
type Result string

// The results of a check. One that could not be made is skipped.
const (
	OK      Result = "ok"
	Warning Result = "warning"
	Problem Result = "problem"
	Skipped Result = "skipped"
)

// Finding is one check.
type Finding struct {
	Check  string
	Result Result
	// Detail says what was found, Mend what to do about it.
	Detail, Mend string
}

// Options say what is looked at.
type Options struct {
	// Config is the path of the minimal config.
	Config string
	Now    func() time.Time
	// Version is what Hello says this program is.
	Version string
	// Again is how the identity's owner gets another, for one that no edge package
	// or join token is made for.
	Again string
	// Timeout bounds each step on the network; 10 seconds when zero.
	Timeout time.Duration
}

// The checks, in their order.
const (
	checkConfig      = "config"
	checkKey         = "key"
	checkCertificate = "certificate"
	checkName        = "name"
	checkTrust       = "trust"
	checkCA          = "enrolment-ca"
	checkReach       = "reachability"
	checkTLS         = "tls"
	checkHello       = "hello"
	checkClock       = "clock"
	checkGetConfig   = "get-config"
)

// examination is one run of the checks; findings grow as it goes on.
type examination struct {
	Options
	findings []Finding
	config   onboarding.MinimalConfig
	paths    onboarding.Paths
	identity onboarding.Identity
	// ended is true of a certificate that no handshake takes any more.
	ended bool
	// server is what is connected to, at addr by the name serverName; mendAddr
	// and mendName say where those two are set.
	server, addr, serverName string
	mendAddr, mendName       string
	// again is how the identity's owner gets another.
	again string
	tls   *tls.Config
	// timed is true once the clock was compared.
	timed bool
}

type step struct {
	check string
	make  func(context.Context) bool
}

// Examine makes all checks. Those that need what an earlier one could not
// establish are skipped.
func Examine(ctx context.Context, options Options) []Finding {
	e := newExamination(options)
	e.server, e.again = "gateway", cmp.Or(e.Again, "onboard the service again, or enrol its host again")
	e.mendAddr, e.mendName = "gateway_addr in "+e.Config, "gateway_security.server_name in "+e.Config
	return e.run(ctx, []step{
		{checkConfig, e.checkConfig}, {checkKey, e.checkKey}, {checkCertificate, e.checkCertificate},
		{checkName, e.checkName}, {checkTrust, e.checkTrust}, {checkCA, e.checkCA}, {checkReach, e.checkReach},
		{checkTLS, e.checkTLS}, {checkHello, e.checkGateway},
	})
}

func newExamination(options Options) *examination {
	e := &examination{Options: options}
	if e.Timeout <= 0 {
		e.Timeout = 10 * time.Second
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	return e
}

func (e *examination) run(ctx context.Context, steps []step) []Finding {
	for i, one := range steps {
		if one.make(ctx) {
			continue
		}
		for _, left := range steps[i+1:] {
			e.add(left.check, Skipped, "not looked at: "+one.check+" comes first", "")
		}
		break
	}
	return e.findings
}

func (e *examination) add(check string, result Result, detail, mend string) {
	e.findings = append(e.findings, Finding{check, result, detail, mend})
}

func (e *examination) checkConfig(context.Context) bool {
	var err error
	if e.config, err = onboarding.LoadConfig(e.Config); err != nil {
		e.add(checkConfig, Problem, err.Error(), "install the edge package, or name its config with --config")
		return false
	}
	e.paths, e.addr, e.serverName = e.config.Paths(), e.config.GatewayAddr, e.config.ServerName()
	e.add(checkConfig, OK, fmt.Sprintf("%s is for %s, gateway %s", e.Config, e.config.AgentID, e.config.GatewayAddr), "")
	return true
}

func (e *examination) checkKey(context.Context) bool {
	var err error
	e.identity, err = onboarding.LoadIdentity(e.paths)
	switch {
	case errors.Is(err, onboarding.ErrNotPrivate):
		e.add(checkKey, Problem, err.Error(), "if nobody else can have read it: chmod 600 "+e.paths.Key+"; else "+e.again)
		return false
	case err != nil:
		e.add(checkKey, Problem, err.Error(), e.again)
		return false
	}
	e.add(checkKey, OK, e.paths.Key+" is private and belongs to the certificate", "")
	return true
}

// aboutToEnd is how much of its life a certificate has left when renewal should
// have replaced it already.
const aboutToEnd = 5

func (e *examination) checkCertificate(context.Context) bool {
	leaf, now := e.identity.Chain[0], e.Now()
	end := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch life := leaf.NotAfter.Sub(leaf.NotBefore); {
	case now.After(leaf.NotAfter.Add(client.Grace)):
		e.add(checkCertificate, Problem, "it ended on "+end+", too long ago to be renewed", e.again)
		return false
	case now.After(leaf.NotAfter):
		e.ended = true
		e.add(checkCertificate, Problem, "it ended on "+end, "renew it by "+leaf.NotAfter.Add(client.Grace).UTC().Format(time.RFC3339)+", while its key is proof enough: `edgesync cert renew "+e.paths.Dir+"`")
	case now.Before(leaf.NotBefore):
		e.add(checkCertificate, Problem, "it is not valid before "+leaf.NotBefore.UTC().Format(time.RFC3339), "set this host's clock: it says "+now.UTC().Format(time.RFC3339))
		return false
	case leaf.NotAfter.Sub(now) < life/aboutToEnd:
		e.add(checkCertificate, Warning, "it ends on "+end+" and was not renewed yet", "see what "+checkCA+" says and try `edgesync cert renew "+e.paths.Dir+"`")
	default:
		e.add(checkCertificate, OK, "it is good until "+end, "")
	}
	return true
}

func (e *examination) checkName(context.Context) bool {
	named, err := certs.ReadLeaf(e.identity.Chain[0])
	switch {
	case err != nil:
		e.add(checkName, Problem, err.Error(), "use the certificate of an edge package")
		return false
	case named.Component != e.config.AgentID:
		e.add(checkName, Problem, fmt.Sprintf("the certificate is for %q, the config's agent_id is %q", named.Component, e.config.AgentID), "use the files of one package")
		return false
	case named.Partition != e.config.Partition:
		e.add(checkName, Warning, fmt.Sprintf("the certificate is for partition %q, the config says %q; the certificate counts", named.Partition, e.config.Partition), "set partition in the config to "+named.Partition)
	default:
		e.add(checkName, OK, "it is "+named.SPIFFE(), "")
	}
	return true
}

func (e *examination) checkTrust(context.Context) bool {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	count, soon := 0, time.Time{}
	for _, c := range e.identity.CAs {
		if c.CheckSignatureFrom(c) != nil {
			intermediates.AddCert(c)
			continue
		}
		roots.AddCert(c)
		if count++; soon.IsZero() || c.NotAfter.Before(soon) {
			soon = c.NotAfter
		}
	}
	for _, c := range e.identity.Chain[1:] {
		intermediates.AddCert(c)
	}
	leaf, now := e.identity.Chain[0], e.Now()
	if e.ended {
		now = leaf.NotAfter
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		e.add(checkTrust, Problem, fmt.Sprintf("the certificate is not of the CAs in %s: %v", e.paths.CA, err), "use the files of one package")
		return false
	}
	certificate := e.identity.TLSCertificate()
	e.tls, err = certs.ClientTLS(certs.EncodePEM(e.identity.CAs...), func() *tls.Certificate { return certificate }, e.serverName)
	if err != nil {
		e.add(checkTrust, Problem, err.Error(), e.again)
		return false
	}
	e.tls.Time = e.Now
	e.add(checkTrust, OK, fmt.Sprintf("roots known: %d, the first to end does on %s", count, soon.UTC().Format(time.DateOnly)), "")
	return true
}

func (e *examination) checkReach(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(e.addr)
	if err != nil {
		e.add(checkReach, Problem, err.Error(), "mend "+e.mendAddr)
		return false
	}
	var resolver net.Resolver
	if _, err := resolver.LookupHost(ctx, host); err != nil {
		e.add(checkReach, Problem, fmt.Sprintf("%s is not found: %v", host, err), "mend this host's DNS, or "+e.mendAddr)
		return false
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		e.add(checkReach, Problem, fmt.Sprintf("%s is not reached: %v", e.addr, err), "let this host out to TCP port "+port+", and see that `edgesync serve` runs there")
		return false
	}
	_ = conn.Close()
	e.add(checkReach, OK, e.addr+" is reached", "")
	// No handshake takes a certificate that has ended.
	return !e.ended
}
