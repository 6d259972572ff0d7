package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

//go:embed files
var own embed.FS

// Where things are in an archive.
const (
	manDir        = "man/man1"
	completionDir = "completions"
	unitDir       = "systemd"
	licencesFile  = "THIRD-PARTY-LICENSES"
)

// common makes what is the same on every platform, with a binary of this host.
func (r *release) common() error {
	r.shared = map[string][]byte{}
	for name, source := range map[string]string{"LICENSE": "LICENSE", "README.md": "README.md"} {
		data, err := os.ReadFile(filepath.Join(r.root, source))
		if err != nil {
			return err
		}
		r.shared[name] = data
	}
	for _, name := range []string{serveUnit, platformUnit} {
		r.shared[path.Join(unitDir, name)] = ownFile(name)
	}
	run, err := r.runUnit()
	if err != nil {
		return err
	}
	r.shared[path.Join(unitDir, runUnit)] = run
	r.shared["serve.yaml"] = ownFile("serve.yaml")
	if r.shared[licencesFile], err = r.licences(); err != nil {
		return err
	}
	host, err := r.build(target{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return err
	}
	return errors.Join(r.completions(host), r.manuals(host))
}

func ownFile(name string) []byte {
	data, err := own.ReadFile("files/" + name)
	if err != nil {
		panic(err) // embedded, so it is there
	}
	return data
}

func (r *release) completions(host string) error {
	for shell, name := range map[string]string{"bash": "edgesync.bash", "zsh": "_edgesync", "fish": "edgesync.fish", "powershell": "edgesync.ps1"} {
		out, err := command(r.root, nil, host, "completion", shell)
		if err != nil {
			return err
		}
		r.shared[path.Join(completionDir, name)] = out
	}
	return nil
}

func (r *release) manuals(host string) error {
	dir := filepath.Join(r.work, "man1")
	if _, err := command(r.root, nil, host, "man", "--dir", dir); err != nil {
		return err
	}
	pages, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, page := range pages {
		data, err := os.ReadFile(filepath.Join(dir, page.Name()))
		if err != nil {
			return err
		}
		r.shared[path.Join(manDir, page.Name())] = data
	}
	return nil
}

// The units.
const (
	serveUnit    = "edgesync-serve.service"
	runUnit      = "edgesync-run.service"
	platformUnit = "edgesync-platform-sync.service"
)

// runUnit is the unit of an edge package, for whichever service is installed.
func (r *release) runUnit() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(r.root, "onboarding", "template", runUnit))
	if err != nil {
		return nil, err
	}
	var unit []string
	for line := range strings.Lines(string(data)) {
		switch {
		case strings.HasPrefix(line, "Description="):
			line = "Description=edgesync sync service\nDocumentation=man:edgesync-run(1)\nConditionPathExists=/etc/edgesync/config/sync.json\n"
		case strings.HasPrefix(line, "ExecStart=edgesync "):
			line = strings.Replace(line, "=edgesync ", "=/usr/bin/edgesync ", 1)
		}
		unit = append(unit, line)
	}
	text := strings.Join(unit, "")
	if strings.Contains(text, "{{") || !strings.Contains(text, "ExecStart=/usr/bin/edgesync ") {
		return nil, fmt.Errorf("make %s: the template is not what it was", runUnit)
	}
	return []byte(text), nil
}

// licences are the texts that the modules in the program come under.
func (r *release) licences() ([]byte, error) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}`
	out, err := command(r.root, []string{"CGO_ENABLED=0", "GOOS=linux"}, "go", "list", "-deps", "-tags", tags, "-f", format, "./cmd/edgesync")
	if err != nil {
		return nil, err
	}
	modules := slices.Compact(slices.Sorted(strings.Lines(string(out))))
	var text bytes.Buffer
	goRoot, err := command(r.root, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules = append(modules, "Go "+runtime.Version()+" "+string(goRoot))
	for _, module := range modules {
		fields := strings.Fields(module)
		if len(fields) != 3 {
			continue
		}
		found, err := licencesIn(fields[2])
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("find licence of %s: there is none in its folder", fields[0])
		}
		line := strings.Repeat("=", 78)
		fmt.Fprintf(&text, "%s\n%s %s\n%s\n\n%s\n\n", line, fields[0], fields[1], line, bytes.Join(found, []byte("\n\n")))
	}
	return text.Bytes(), nil
}

func licencesIn(dir string) ([][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		if !entry.Type().IsRegular() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		found = append(found, bytes.TrimSpace(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))))
	}
	return found, nil
}

// compressed is data as gzip -9n leaves it.
func compressed(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(data) // memory takes it
	_ = w.Close()
	return out.Bytes()
}

// modeOf is the mode of a file in an archive.
func modeOf(name string) fs.FileMode {
	if base := path.Base(name); base == "edgesync" || base == "edgesync.exe" {
		return 0o755
	}
	return 0o644
}
