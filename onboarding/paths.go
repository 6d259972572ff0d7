package onboarding

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"edgesync/certs"
)

// ValidAddr says why addr is not HOST:PORT, or nil.
func ValidAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port between 1 and 65535", addr)
	}
	// Names with underscores are common between containers.
	if net.ParseIP(host) == nil && certs.ValidHost(strings.ToLower(strings.ReplaceAll(host, "_", "-"))) != nil {
		return fmt.Errorf("%q has no host name or address before its port", addr)
	}
	return nil
}

// ServerName is the name the gateway must answer to: the one given, else the
// host of its address.
func (c MinimalConfig) ServerName() string {
	if c.GatewaySecurity.ServerName != "" {
		return c.GatewaySecurity.ServerName
	}
	host, _, err := net.SplitHostPort(c.GatewayAddr)
	if err != nil {
		return c.GatewayAddr
	}
	return host
}

// Paths are the files of an identity, resolved.
type Paths struct {
	Dir, Cert, Key, CA, ClientCA, CAInfo string
}

// Paths resolves the config's paths: those of files are relative to cert_dir,
// cert_dir to the config file.
func (c MinimalConfig) Paths() Paths {
	s := c.GatewaySecurity
	dir := below(c.dir, s.CertDir)
	p := Paths{
		Dir: dir, Cert: below(dir, s.TLS.CertFile), Key: below(dir, s.TLS.KeyFile),
		CA: below(dir, s.TLS.CAFile), CAInfo: below(dir, CAInfoFile),
	}
	if s.TLS.ClientCAFile != "" {
		p.ClientCA = below(dir, s.TLS.ClientCAFile)
	}
	return p
}

func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
