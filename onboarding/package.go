package onboarding

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"text/template"
	"time"

	"edgesync/certs"
)

// File is one file of an identity or a package. Path is relative and uses
// slashes.
type File struct {
	Path    string
	Mode    fs.FileMode
	Data    []byte
	ModTime time.Time
}

const (
	packagePrefix = "edge-package-"
	unitFile      = "edgesync-run.service"
	sumsFile      = "SHA256SUMS"
)

//go:embed template
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "template/*"))

// PackageInput is what an edge package is made of.
type PackageInput struct {
	// Name is what the service is called; shown, never used as a path or a word
	// of a script.
	Name        string
	Tenant      string
	Partition   string
	Component   string
	GatewayAddr string
	ServerName  string
	Identity    Identity
}

// PackageFiles are the files of the component's edge package, below one folder.
// The same input makes the same files.
func PackageFiles(in PackageInput) ([]File, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("make edge package: %w", err)
	}
	files, err := in.Identity.files()
	if err != nil {
		return nil, fmt.Errorf("make edge package: %w", err)
	}
	for n := range files {
		files[n].Path = path.Join(CertDir, files[n].Path)
	}
	config, err := NewConfig(in.Component, in.Partition, in.GatewayAddr, in.ServerName).Marshal()
	if err != nil {
		return nil, fmt.Errorf("make edge package: %w", err)
	}
	files = append(files, File{Path: ConfigFile, Mode: 0o644, Data: config})
	for _, t := range []struct {
		name string
		mode fs.FileMode
	}{{unitFile, 0o644}, {"install.sh", 0o755}, {"README.md", 0o644}} {
		data, err := in.render(t.name)
		if err != nil {
			return nil, fmt.Errorf("make edge package: %w", err)
		}
		files = append(files, File{Path: t.name, Mode: t.mode, Data: data})
	}
	files = append(files, File{Path: sumsFile, Mode: 0o644, Data: checksums(files)})
	for n := range files {
		files[n].Path = path.Join(PackageFolder(in.Component), files[n].Path)
		files[n].ModTime = in.Identity.Chain[0].NotBefore
	}
	return files, nil
}

func (in PackageInput) check() error {
	for _, l := range []struct{ what, label string }{{"component", in.Component}, {"tenant", in.Tenant}, {"partition", in.Partition}} {
		if err := certs.ValidLabel(l.label); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	if err := NewConfig(in.Component, in.Partition, in.GatewayAddr, in.ServerName).Validate(); err != nil {
		return err
	}
	if in.ServerName == "" {
		return errors.New("the gateway's server name is missing")
	}
	if err := in.Identity.check(); err != nil {
		return err
	}
	named, err := certs.ReadLeaf(in.Identity.Chain[0])
	if err != nil {
		return err
	}
	if named.Component != in.Component || named.Tenant != in.Tenant || named.Partition != in.Partition {
		return fmt.Errorf("the certificate is for %s, not for %s of tenant %s", named.SPIFFE(), in.Component, in.Tenant)
	}
	return nil
}

func (in PackageInput) render(name string) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, name, map[string]string{
		"Name": markdown(cmp.Or(in.Name, in.Component)), "Component": in.Component, "Tenant": in.Tenant, "Partition": in.Partition,
		"GatewayAddr": in.GatewayAddr, "ServerName": in.ServerName, "Unit": unitFile,
		"NotAfter":    in.Identity.Chain[0].NotAfter.UTC().Format(time.RFC1123),
		"Fingerprint": in.Identity.RootFingerprint(),
	})
	return out.Bytes(), err
}

// checksums is what `sha256sum -c` reads.
func checksums(files []File) []byte {
	var out bytes.Buffer
	for _, f := range files {
		_, _ = fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(f.Data), f.Path)
	}
	return out.Bytes()
}
