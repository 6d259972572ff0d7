package onboarding_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"edgesync/certs"
	"edgesync/certs/issue"
	"edgesync/onboarding"
)

const gatewayName = "agent-gateway.edgesync.local"

// platform is what signs, reduced to its authorities.
type platform struct {
	root, own, acme *issue.Authority
	acmeID          uuid.UUID
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	now := time.Now()
	p := &platform{acmeID: uuid.New()}
	p.root = must(issue.NewRoot("edgesync.local", now))(t)
	p.own = must(p.root.NewPlatformIntermediate("platform", now))(t)
	p.acme = must(p.root.NewTenantIntermediate("acme", now))(t)
	return p
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (p *platform) sign(t testing.TB, a *issue.Authority, leaf issue.Leaf) onboarding.Identity {
	t.Helper()
	key, csr, err := onboarding.NewKeyAndCSR()
	if err != nil {
		t.Fatal(err)
	}
	cert := must(a.SignLeaf(csr, leaf, time.Now()))(t)
	return onboarding.Identity{
		Key: key, CAURL: "https://ca.example.com:9443",
		Chain: chain(cert, a.Certificate), CAs: chain(p.root.Certificate, a.Certificate),
	}
}

func (p *platform) identity(t testing.TB) onboarding.Identity {
	t.Helper()
	return p.sign(t, p.acme, issue.Leaf{Type: certs.TypeSync, Tenant: "acme", Partition: "default", Component: "hq-sync"})
}

// connect opens a connection with a client's TLS to this platform's gateway and
// returns whom the gateway saw.
func (p *platform) connect(t testing.TB, client *tls.Config) certs.Peer {
	t.Helper()
	gateway := p.sign(t, p.own, issue.Leaf{
		Type: certs.TypeGateway, Tenant: "platform", Partition: "default", Component: "gateway", ServerNames: []string{gatewayName},
	}).TLSCertificate()
	issuers := must(certs.NewIssuers(p.root.Certificate))(t)
	if err := issuers.Add(certs.Issuer{TenantID: p.acmeID, Tenant: "acme", Certificate: p.acme.Certificate}); err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	server := tls.Server(there, certs.ServerTLS(issuers, func() *tls.Certificate { return gateway }, nil))
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := tls.Client(here, client).Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return must(certs.PeerFromTLS(server.ConnectionState(), issuers, "", time.Now()))(t)
}

func serial(t testing.TB, dir string) string {
	t.Helper()
	return must(onboarding.LoadIdentity(onboarding.PathsIn(dir)))(t).Chain[0].SerialNumber.String()
}

func TestIdentityIsReplacedWhole(t *testing.T) {
	p := newPlatform(t)
	dir := filepath.Join(t.TempDir(), "certs")
	for range 2 {
		i := p.identity(t)
		if err := onboarding.WriteIdentity(dir, i); err != nil {
			t.Fatal(err)
		}
		if got := serial(t, dir); got != i.Chain[0].SerialNumber.String() {
			t.Fatalf("loaded %s, wrote %s", got, i.Chain[0].SerialNumber)
		}
		loaded := must(onboarding.LoadIdentity(onboarding.PathsIn(dir)))(t)
		if loaded.CAURL != i.CAURL || loaded.RootFingerprint() != i.RootFingerprint() || i.RootFingerprint() == "" {
			t.Fatalf("loaded %q %q", loaded.CAURL, loaded.RootFingerprint())
		}
	}
	assertFiles(t, dir, map[string]fs.FileMode{"ca-chain.pem": 0o644, "ca.json": 0o644, "component-key.pem": 0o600, "component.pem": 0o644})
}

func assertFiles(t *testing.T, dir string, want map[string]fs.FileMode) {
	t.Helper()
	for _, entry := range must(os.ReadDir(dir))(t) {
		mode, ok := want[entry.Name()]
		if got := must(entry.Info())(t).Mode().Perm(); !ok || got != mode {
			t.Errorf("%s has mode %v, want %v (expected %v)", entry.Name(), got, mode, ok)
		}
		delete(want, entry.Name())
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// TestIdentityAfterAStopInTheMiddle puts the folder into every state a killed
// replacement can leave behind.
func TestIdentityAfterAStopInTheMiddle(t *testing.T) {
	p := newPlatform(t)
	order := []string{"ca-chain.pem", "ca.json", "component-key.pem", "component.pem"}
	before, after := p.identity(t), newPlatform(t).identity(t)
	for written := range len(order) + 1 {
		for moved := range written + 1 {
			marked := written == len(order)
			if moved > 0 && !marked {
				continue
			}
			dir, beside := t.TempDir(), t.TempDir()
			if err := errors.Join(onboarding.WriteIdentity(dir, before), onboarding.WriteIdentity(beside, after)); err != nil {
				t.Fatal(err)
			}
			want := before
			for n, name := range order[:written] {
				suffix := ".next"
				if n < moved {
					suffix = ""
				}
				if err := os.Rename(filepath.Join(beside, name), filepath.Join(dir, name+suffix)); err != nil {
					t.Fatal(err)
				}
			}
			if marked {
				want = after
				if err := os.WriteFile(filepath.Join(dir, ".replacing"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := must(onboarding.LoadIdentity(onboarding.PathsIn(dir)))(t)
			if !got.Chain[0].Equal(want.Chain[0]) || got.RootFingerprint() != want.RootFingerprint() {
				t.Errorf("written %d, moved %d: loaded parts of both", written, moved)
			}
			third := p.identity(t)
			if err := onboarding.WriteIdentity(dir, third); err != nil || serial(t, dir) != third.Chain[0].SerialNumber.String() {
				t.Errorf("written %d, moved %d: the next replacement: %v", written, moved, err)
			}
			assertFiles(t, dir, map[string]fs.FileMode{"ca-chain.pem": 0o644, "ca.json": 0o644, "component-key.pem": 0o600, "component.pem": 0o644})
		}
	}
}

// TestIdentityThatCannotWorkIsNotWritten mixes parts of different identities, and
// has something in the way.
func TestIdentityThatCannotWorkIsNotWritten(t *testing.T) {
	p := newPlatform(t)
	for name, spoil := range map[string]func(dir string, i *onboarding.Identity) error{
		"another's key":          func(_ string, i *onboarding.Identity) error { i.Key = p.identity(t).Key; return nil },
		"no key":                 func(_ string, i *onboarding.Identity) error { i.Key = nil; return nil },
		"no intermediate":        func(_ string, i *onboarding.Identity) error { i.Chain = i.Chain[:1]; return nil },
		"another's intermediate": func(_ string, i *onboarding.Identity) error { i.Chain[1] = p.own.Certificate; return nil },
		"no root":                func(_ string, i *onboarding.Identity) error { i.CAs = i.CAs[1:]; return nil },
		"another root":           func(_ string, i *onboarding.Identity) error { i.CAs[0] = newPlatform(t).root.Certificate; return nil },
		"a folder in the way": func(dir string, _ *onboarding.Identity) error {
			return errors.Join(os.Remove(filepath.Join(dir, "ca.json")), os.Mkdir(filepath.Join(dir, "ca.json"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "certs")
			if err := onboarding.WriteIdentity(dir, p.identity(t)); err != nil {
				t.Fatal(err)
			}
			fresh := p.identity(t)
			if err := spoil(dir, &fresh); err != nil {
				t.Fatal(err)
			}
			before := contents(t, dir)
			if err := onboarding.WriteIdentity(dir, fresh); err == nil {
				t.Fatal("it was written")
			}
			if after := contents(t, dir); after != before {
				t.Errorf("changed:\n%s\nto\n%s", before, after)
			}
		})
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		_, _ = out.WriteString(path + "\n" + string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestKeyFileIsRefused has the key files no start may accept.
func TestKeyFileIsRefused(t *testing.T) {
	p := newPlatform(t)
	for name, test := range map[string]struct {
		spoil func(key string) error
		want  string
	}{
		"readable by the group": {func(k string) error { return os.Chmod(k, 0o640) }, "chmod 600"},
		"readable by others":    {func(k string) error { return os.Chmod(k, 0o604) }, "chmod 600"},
		"a symbolic link":       {func(k string) error { return errors.Join(os.Rename(k, k+".real"), os.Symlink(k+".real", k)) }, "symbolic link"},
		"a folder":              {func(k string) error { return errors.Join(os.Remove(k), os.Mkdir(k, 0o700)) }, "regular file"},
		"absent":                {os.Remove, "no such file"},
		"endless":               {func(k string) error { return os.Truncate(k, 2<<20) }, "larger than"},
		"not a key":             {func(k string) error { return os.WriteFile(k, []byte("canary"), 0o600) }, "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := onboarding.WriteIdentity(dir, p.identity(t)); err != nil {
				t.Fatal(err)
			}
			if err := test.spoil(filepath.Join(dir, "component-key.pem")); err != nil {
				t.Fatal(err)
			}
			_, err := onboarding.LoadIdentity(onboarding.PathsIn(dir))
			private := test.want == "chmod 600" || test.want == "symbolic link"
			if errors.Is(err, onboarding.ErrNotPrivate) != private {
				t.Errorf("%v: is ErrNotPrivate, want %v", err, private)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestConfigOfAnotherComponentIsRefused(t *testing.T) {
	p := newPlatform(t)
	dir := t.TempDir()
	if err := onboarding.WriteIdentity(filepath.Join(dir, "certs"), p.identity(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config", "sync.json")
	if err := onboarding.WriteConfig(path, onboarding.NewConfig("other", "default", "gateway.example.com:50052", gatewayName)); err != nil {
		t.Fatal(err)
	}
	_, err := must(onboarding.LoadConfig(path))(t).ClientTLS()
	if err == nil || !strings.Contains(err.Error(), `"hq-sync"`) {
		t.Fatal(err)
	}
}

// FuzzLoadIdentity loads files that may come from anybody: the identity is whole
// or refused.
func FuzzLoadIdentity(f *testing.F) {
	dir := f.TempDir()
	if err := onboarding.WriteIdentity(dir, newPlatform(f).identity(f)); err != nil {
		f.Fatal(err)
	}
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join(dir, name)))(f) }
	key, certificate, authorities, info := read(onboarding.KeyFile), read(onboarding.CertFile), read(onboarding.CAFile), read(onboarding.CAInfoFile)
	f.Add(key, certificate, authorities, info)
	f.Add(key, authorities, certificate, []byte(`{"ca_url":7}`))
	f.Add(certificate, key, []byte(nil), []byte(`{}`))
	f.Fuzz(func(t *testing.T, key, certificate, authorities, info []byte) {
		for name, data := range map[string][]byte{
			onboarding.KeyFile: key, onboarding.CertFile: certificate, onboarding.CAFile: authorities, onboarding.CAInfoFile: info,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		i, err := onboarding.LoadIdentity(onboarding.PathsIn(dir))
		if err != nil {
			if len(key) > 200 && strings.Contains(err.Error(), string(key[100:150])) {
				t.Errorf("the error quotes the key: %v", err)
			}
			return
		}
		if public, ok := i.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(i.Chain[0].PublicKey) {
			t.Error("the key is not that of the certificate")
		}
	})
}
