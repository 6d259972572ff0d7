// Package doctor looks at a sync service's host for whatever keeps it from
// working, from its config to an answer of the gateway, and says what to mend.
// It changes nothing, and knows neither the platform nor a terminal.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"edgesync/certs"
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
	identity onboarding.Identity
	tls      *tls.Config
}

// Examine makes all checks. Those that need what an earlier one could not
// establish are skipped.
func Examine(ctx context.Context, options Options) []Finding {
	e := &examination{Options: options}
	if e.Timeout <= 0 {
		e.Timeout = 10 * time.Second
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	steps := []struct {
		check string
		step  func(context.Context) bool
	}{
		{checkConfig, e.checkConfig}, {checkKey, e.checkKey}, {checkCertificate, e.checkCertificate},
		{checkName, e.checkName}, {checkTrust, e.checkTrust}, {checkReach, e.checkReach},
		{checkTLS, e.checkTLS}, {checkHello, e.checkGateway},
	}
	for i, one := range steps {
		if one.step(ctx) {
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
	e.add(checkConfig, OK, fmt.Sprintf("%s is for %s, gateway %s", e.Config, e.config.AgentID, e.config.GatewayAddr), "")
	return true
}

func (e *examination) checkKey(context.Context) bool {
	paths := e.config.Paths()
	var err error
	e.identity, err = onboarding.LoadIdentity(paths)
	switch {
	case errors.Is(err, onboarding.ErrNotPrivate):
		e.add(checkKey, Problem, err.Error(), "if nobody else can have read it: chmod 600 "+paths.Key+"; else onboard the service again")
		return false
	case err != nil:
		e.add(checkKey, Problem, err.Error(), "install the latest edge package or enrol again")
		return false
	}
	e.add(checkKey, OK, paths.Key+" is private and belongs to the certificate", "")
	return true
}

// aboutToEnd is how much of its life a certificate has left when renewal should
// have replaced it already.
const aboutToEnd = 5

func (e *examination) checkCertificate(context.Context) bool {
	leaf, now := e.identity.Chain[0], e.Now()
	end := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch life := leaf.NotAfter.Sub(leaf.NotBefore); {
	case now.After(leaf.NotAfter):
		e.add(checkCertificate, Problem, "it ended on "+end, "run `edgesync run`, which can renew it for 7 days after its end; later onboard or enrol again")
		return false
	case now.Before(leaf.NotBefore):
		e.add(checkCertificate, Problem, "it is not valid before "+leaf.NotBefore.UTC().Format(time.RFC3339), "set this host's clock: it says "+now.UTC().Format(time.RFC3339))
		return false
	case leaf.NotAfter.Sub(now) < life/aboutToEnd:
		e.add(checkCertificate, Warning, "it ends on "+end+" and was not renewed yet", "see the log of `edgesync run`: renewal should have replaced it")
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
	_, err := e.identity.Chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: e.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		e.add(checkTrust, Problem, fmt.Sprintf("the certificate is not of the CAs in %s: %v", e.config.Paths().CA, err), "use the files of one package")
		return false
	}
	config, err := e.config.ClientTLS()
	if err != nil {
		e.add(checkTrust, Problem, err.Error(), "install the latest edge package or enrol again")
		return false
	}
	e.tls = config
	e.tls.Time = e.Now
	e.add(checkTrust, OK, fmt.Sprintf("%d root(s) known, the first to end does on %s", count, soon.UTC().Format(time.DateOnly)), "")
	return true
}

func (e *examination) checkReach(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(e.config.GatewayAddr)
	if err != nil {
		e.add(checkReach, Problem, err.Error(), "mend gateway_addr in "+e.Config)
		return false
	}
	var resolver net.Resolver
	if _, err := resolver.LookupHost(ctx, host); err != nil {
		e.add(checkReach, Problem, fmt.Sprintf("%s is not found: %v", host, err), "mend this host's DNS, or gateway_addr in "+e.Config)
		return false
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", e.config.GatewayAddr)
	if err != nil {
		e.add(checkReach, Problem, fmt.Sprintf("%s is not reached: %v", e.config.GatewayAddr, err), "let this host out to TCP port "+port+", and see that `edgesync serve` runs there")
		return false
	}
	_ = conn.Close()
	e.add(checkReach, OK, e.config.GatewayAddr+" is reached", "")
	return true
}
