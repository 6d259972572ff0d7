package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

const description = `Sync of device inventories to a platform of many tenants
It pulls the inventories of systems such as Armis and NetBox over mTLS into one
canonical list of devices for each tenant. The same program is the platform
(edgesync-serve.service) and the service of an edge host
(edgesync-run.service).`

// archs are what dpkg and rpm call an architecture.
var archs = map[string]struct{ deb, rpm string }{
	"amd64": {"amd64", "x86_64"}, "arm64": {"arm64", "aarch64"}, "arm": {"armhf", "armv7hl"},
}

// writePackages writes the .deb and the .rpm of a platform.
func (r *release) writePackages(t target, binary string) error {
	names := archs[t.arch]
	for _, kind := range []struct {
		packager nfpm.Packager
		name     string
		depends  []string
		zsh      string
	}{
		{deb.Default, "edgesync_" + r.packaged + "_" + names.deb + ".deb", []string{"passwd"}, "/usr/share/zsh/vendor-completions"},
		{rpm.DefaultRPM, "edgesync-" + r.packaged + "-1." + names.rpm + ".rpm", []string{"shadow-utils"}, "/usr/share/zsh/site-functions"},
	} {
		contents, err := r.contents(t, binary, kind.zsh)
		if err != nil {
			return err
		}
		info, err := r.info(t, contents, kind.depends)
		if err != nil {
			return err
		}
		if kind.packager == rpm.DefaultRPM {
			info.Release = "1"
		}
		if err := r.writePackage(kind.packager, info, kind.name); err != nil {
			return fmt.Errorf("write %s: %w", kind.name, err)
		}
	}
	return nil
}

func (r *release) info(t target, contents files.Contents, depends []string) (*nfpm.Info, error) {
	scripts := nfpm.Scripts{}
	for name, path := range map[string]*string{"postinst": &scripts.PostInstall, "prerm": &scripts.PreRemove, "postrm": &scripts.PostRemove} {
		*path = filepath.Join(r.work, name)
		if err := os.WriteFile(*path, ownFile(name), 0o644); err != nil {
			return nil, err
		}
	}
	return &nfpm.Info{
		Name: "edgesync", Platform: "linux", Arch: t.arch, Version: r.packaged, VersionSchema: "none",
		Section: "net", Priority: "optional", Maintainer: "edgesync maintainers <maintainers@edgesync.example>",
		Description: description, License: "Apache-2.0", MTime: r.when,
		Overridables: nfpm.Overridables{
			Depends: depends, Recommends: []string{"ca-certificates"}, Suggests: []string{"postgresql"}, Contents: contents, Scripts: scripts,
			Deb: nfpm.Deb{Arch: archs[t.arch].deb, Compression: "gzip"},
			RPM: nfpm.RPM{Arch: archs[t.arch].rpm, Compression: "zstd", BuildHost: "localhost", Group: "System Environment/Daemons", Summary: strings.SplitN(description, "\n", 2)[0]},
		},
	}, nil
}

// contents are the files of a package. Nothing of it is the service's own: that
// has its state and its identity, which scripts make.
func (r *release) contents(t target, binary, zsh string) (files.Contents, error) {
	c := contents{release: r, dir: filepath.Join(r.work, "package")}
	c.add("/usr/bin/edgesync", "", 0o755, binary)
	for name, data := range r.shared {
		base := path.Base(name)
		switch {
		case strings.HasPrefix(name, unitDir+"/"):
			c.put("/usr/lib/systemd/system/"+base, "", data)
		case strings.HasPrefix(name, manDir+"/"):
			c.put("/usr/share/man/man1/"+base+".gz", "", compressed(data))
		case base == "edgesync.bash":
			c.put("/usr/share/bash-completion/completions/edgesync", "", data)
		case base == "_edgesync":
			c.put(zsh+"/_edgesync", "", data)
		case base == "edgesync.fish":
			c.put("/usr/share/fish/vendor_completions.d/edgesync.fish", "", data)
		case name == "serve.yaml":
			c.put("/etc/edgesync/serve.yaml", "config|noreplace", data)
		case name == licencesFile:
			c.put("/usr/share/doc/edgesync/"+licencesFile+".gz", "", compressed(data))
		case name == "README.md":
			c.put("/usr/share/doc/edgesync/README.md", "", data)
		}
	}
	c.put("/usr/share/doc/edgesync/copyright", "", ownFile("copyright"))
	if c.failure != nil {
		return nil, c.failure
	}
	return files.PrepareForPackager(c.list, 0, "", false, r.when)
}

type contents struct {
	*release
	dir     string
	list    files.Contents
	failure error
}

// put adds a file of the given content.
func (c *contents) put(destination, kind string, data []byte) {
	source := filepath.Join(c.dir, filepath.FromSlash(destination))
	err := os.MkdirAll(filepath.Dir(source), 0o755)
	if err == nil {
		err = os.WriteFile(source, data, 0o644)
	}
	if err != nil && c.failure == nil {
		c.failure = err
	}
	c.add(destination, kind, 0o644, source)
}

func (c *contents) add(destination, kind string, mode fs.FileMode, source string) {
	if kind == "" {
		kind = files.TypeFile
	}
	c.list = append(c.list, &files.Content{
		Source: source, Destination: destination, Type: kind,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: c.when},
	})
}

func (r *release) writePackage(packager nfpm.Packager, info *nfpm.Info, name string) error {
	info = nfpm.WithDefaults(info)
	if err := nfpm.Validate(info); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(r.out, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = packager.Package(info, file)
	if closing := file.Close(); err == nil {
		err = closing
	}
	return err
}
