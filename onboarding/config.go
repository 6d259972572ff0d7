// Package onboarding makes and reads what an edge host is given: the minimal
// config, the identity's files and the edge package. It runs on hosts that have
// no platform, so it knows no core and no store; the platform only signs, keys are
// made here. It asks nobody anything: there is no terminal in it.
package onboarding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Names of the files of an identity, as other sync clients know them.
const (
	CertFile   = "component.pem"
	KeyFile    = "component-key.pem"
	CAFile     = "ca-chain.pem"
	CAInfoFile = "ca.json"
)

// Where things lie below the folder of a package or an installation.
const (
	CertDir    = "certs"
	ConfigFile = "config/sync.json"
)

const (
	modeMTLS          = "mtls"
	roleSync          = "sync"
	defaultListenAddr = ":50058"
	defaultPartition  = "default"
	maxConfig         = 1 << 20
)

// MinimalConfig is all an edge host is told: who it is, where its gateway is and
// where its certificates lie. Everything else arrives over GetConfig.
type MinimalConfig struct {
	AgentID         string          `json:"agent_id"`
	Partition       string          `json:"partition"`
	GatewayAddr     string          `json:"gateway_addr"`
	GatewaySecurity GatewaySecurity `json:"gateway_security"`
	ListenAddr      string          `json:"listen_addr"`

	// dir is where the config file lies; relative paths start there.
	dir string
}

// GatewaySecurity is how the gateway is spoken to.
type GatewaySecurity struct {
	Mode       string `json:"mode"`
	CertDir    string `json:"cert_dir"`
	ServerName string `json:"server_name"`
	Role       string `json:"role"`
	TLS        TLS    `json:"tls"`
}

// TLS names the files of the identity.
type TLS struct {
	CertFile     string `json:"cert_file"`
	KeyFile      string `json:"key_file"`
	CAFile       string `json:"ca_file"`
	ClientCAFile string `json:"client_ca_file"`
}

// NewConfig is the config of a component whose certificates lie in the folder
// beside the config's own, wherever both are put.
func NewConfig(component, partition, gatewayAddr, serverName string) MinimalConfig {
	return MinimalConfig{
		AgentID: component, Partition: partition, GatewayAddr: gatewayAddr,
		GatewaySecurity: GatewaySecurity{
			Mode: modeMTLS, CertDir: "../" + CertDir, ServerName: serverName, Role: roleSync,
			TLS: TLS{CertFile: CertFile, KeyFile: KeyFile, CAFile: CAFile, ClientCAFile: CAFile},
		},
		ListenAddr: defaultListenAddr,
	}
}

// LoadConfig reads a minimal config and refuses one that cannot work. Fields it
// does not know are ignored: other clients keep theirs in the same file.
func LoadConfig(path string) (MinimalConfig, error) {
	file, err := os.Open(path)
	if err != nil {
		return MinimalConfig{}, fmt.Errorf("read config: %w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return MinimalConfig{}, fmt.Errorf("read config: %w", err)
	}
	c, err := ParseConfig(data)
	if err != nil {
		return MinimalConfig{}, fmt.Errorf("read config %s: %w", path, err)
	}
	if c.dir, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return MinimalConfig{}, fmt.Errorf("read config %s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads the text of a minimal config; its relative paths are left
// relative to the working directory.
func ParseConfig(data []byte) (MinimalConfig, error) {
	if len(data) > maxConfig {
		return MinimalConfig{}, fmt.Errorf("it is larger than %d bytes", maxConfig)
	}
	var c MinimalConfig
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &c); err != nil {
		return MinimalConfig{}, fmt.Errorf("parse JSON: %w", err)
	}
	if c.Partition == "" {
		c.Partition = defaultPartition
	}
	return c, c.Validate()
}

// Validate says what is missing or wrong, by the field's name.
func (c MinimalConfig) Validate() error {
	s := c.GatewaySecurity
	required := []struct{ field, value string }{
		{"agent_id", c.AgentID},
		{"gateway_addr", c.GatewayAddr},
		{"gateway_security.mode", s.Mode},
		{"gateway_security.tls.cert_file", s.TLS.CertFile},
		{"gateway_security.tls.key_file", s.TLS.KeyFile},
		{"gateway_security.tls.ca_file", s.TLS.CAFile},
	}
	for _, r := range required {
		if r.value == "" {
			return fmt.Errorf("%s is missing", r.field)
		}
	}
	if s.Mode != modeMTLS {
		return fmt.Errorf("gateway_security.mode %q is not supported: use %q", s.Mode, modeMTLS)
	}
	for _, r := range append(required, struct{ field, value string }{"partition", c.Partition}, struct{ field, value string }{"gateway_security.server_name", s.ServerName}) {
		if strings.ContainsFunc(r.value, unicode.IsControl) {
			return fmt.Errorf("%s %q has control characters in it", r.field, r.value)
		}
	}
	if err := ValidAddr(c.GatewayAddr); err != nil {
		return fmt.Errorf("gateway_addr: %w", err)
	}
	return nil
}

// Marshal is the config as it is written to a file.
func (c MinimalConfig) Marshal() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(c); err != nil {
		return nil, fmt.Errorf("write config: %w", err)
	}
	return out.Bytes(), nil
}

// WriteConfig puts the config at path, whole or not at all, making its folder.
func WriteConfig(path string, c MinimalConfig) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("write config %s: %w", path, err)
	}
	data, err := c.Marshal()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	if err := replaceFile(path, 0o644, data); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	return nil
}
