package cmd_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"edgesync/faker"
)

// step is one script of a pipeline.
type step struct {
	name, shell, script string
	env                 map[string]string
}

// pipeline is where the steps of a file in docs/examples run: the platform that
// is served, and a host of their own whose systemctl and download are stood in
// for.
type pipeline struct {
	w    *world
	dir  string
	bin  string
	edge string
	// given are what the forge gives: inputs, variables and secrets.
	given map[string]string
	names *strings.Replacer
	stop  func()
}

func (w *world) testPipelines(t *testing.T) {
	w.run(w.live, "operator", "add", "pipelines", "--role", "operator", "--tenant", "acme", "--out", w.path("ci"))
	for file, read := range map[string]func(*pipeline, []byte) []step{
		"github-actions.yml": (*pipeline).readGitHub, "gitlab-ci.yml": (*pipeline).readGitLab,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p := w.in(t).newPipeline(strings.TrimSuffix(file, ".yml"))
			data, err := os.ReadFile(filepath.Join("..", "docs", "examples", file))
			must(t, err)
			for range 2 { // It has to go well where all of it is there already.
				p.runSteps(read(p, data))
			}
		})
	}
}

// The stand-ins: a service manager that tells the test, and a place to download
// from that has a program which leads to this one's.
const (
	standInSystemctl = "#!/bin/sh\n: >\"$EDGE/started\"\n"
	standInCurl      = "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\ncp \"$EDGE/download\" \"$2\"\n"
	download         = "#!/bin/sh\nexec edgesync \"$@\"\n"
)

func (w *world) newPipeline(name string) *pipeline {
	t := w.t
	dir := t.TempDir()
	p := &pipeline{w: w, dir: dir, bin: filepath.Join(dir, "bin"), edge: filepath.Join(dir, "edge"), stop: func() {}}
	for _, made := range []string{p.bin, p.edge} {
		must(t, os.Mkdir(made, 0o755))
	}
	for path, text := range map[string]string{
		"bin/systemctl": standInSystemctl, "bin/curl": standInCurl, "edge/download": download,
	} {
		must(t, os.WriteFile(filepath.Join(dir, path), []byte(text), 0o755))
	}
	sum := sha256.Sum256([]byte(download))
	p.given = map[string]string{
		"SERVICE": name + " sync", "EDGE_HOST": "edge.example.com", "EDGESYNC_SHA256": hex.EncodeToString(sum[:]),
		"EDGESYNC_IDENTITY": packed(t, w.path("ci")), "ARMIS_KEY": faker.DemoSecret, "NETBOX_TOKEN": faker.DemoToken,
	}
	p.names = strings.NewReplacer(append([]string{
		"enroll --install", "enroll --dir " + filepath.Join(p.edge, "installed"), "/usr/local/bin/edgesync", filepath.Join(p.edge, "edgesync"),
		"sleep 5", "sleep 0.05",
	}, w.names(dir, w.addrs, "")...)...)
	return p
}

// packed is a folder as a secret of a forge holds it.
func packed(t *testing.T, dir string) string {
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	files := tar.NewWriter(compressed)
	must(t, files.AddFS(os.DirFS(dir).(fs.ReadDirFS)))
	must(t, files.Close())
	must(t, compressed.Close())
	return base64.StdEncoding.EncodeToString(archive.Bytes())
}

// runSteps runs them in a new folder.
func (p *pipeline) runSteps(steps []step) {
	p.w.t.Helper()
	workspace, err := os.MkdirTemp(p.dir, "workspace-")
	must(p.w.t, err)
	if len(steps) == 0 {
		p.w.t.Fatal("there is no step")
	}
	for _, s := range steps {
		cmd := p.w.command(filepath.Join(p.dir, "no state"), workspace, s.shell, "-e", "-c", p.names.Replace(s.script))
		for name, value := range s.env {
			cmd.Env = append(cmd.Env, name+"="+p.names.Replace(value))
		}
		cmd.Env = append(cmd.Env, "EDGE="+p.edge, "PATH="+p.bin+":"+p.w.path("bin")+":"+os.Getenv("PATH"))
		p.w.try(trial{script: cmd, shown: s.name, meanwhile: p.serviceManager})
		if p.w.t.Failed() {
			return
		}
	}
}

// serviceManager starts the service, or starts it again, when it was told to.
func (p *pipeline) serviceManager() {
	if os.Remove(filepath.Join(p.edge, "started")) != nil {
		return
	}
	p.stop()
	p.stop = p.w.start(filepath.Join(p.edge, "state"), "run", "--config", filepath.Join(p.edge, "installed", "config", "sync.json"),
		"--data-dir", filepath.Join(p.edge, "data"))
}

var expression = regexp.MustCompile(`\$\{\{ *(\S+) *\}\}`)

// evaluate knows the few expressions that name something given.
func (p *pipeline) evaluate(value string) string {
	return expression.ReplaceAllStringFunc(value, func(found string) string {
		name := expression.FindStringSubmatch(found)[1]
		_, key, _ := strings.Cut(name, ".")
		for input, as := range map[string]string{"name": "SERVICE", "host": "EDGE_HOST"} {
			if name == "inputs."+input {
				key = as
			}
		}
		given, ok := p.given[key]
		if !ok {
			p.w.t.Fatalf("nobody gives %s", name)
		}
		return given
	})
}

func (p *pipeline) readGitHub(data []byte) []step {
	var file struct {
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct {
				Name, Run string
				Env       map[string]string
			}
		}
	}
	must(p.w.t, yaml.Unmarshal(data, &file))
	var steps []step
	for _, job := range file.Jobs {
		for _, s := range job.Steps {
			if strings.Contains(s.Run, "${{") {
				p.w.t.Errorf("%s: what is given must not become a part of the script: hand it over in env", s.Name)
			}
			env := map[string]string{}
			for _, set := range []map[string]string{job.Env, s.Env} {
				for name, value := range set {
					env[name] = p.evaluate(value)
				}
			}
			steps = append(steps, step{s.Name, "bash", s.Run, env})
		}
	}
	return steps
}

func (p *pipeline) readGitLab(data []byte) []step {
	type job struct {
		Extends, Stage string
		Before         []string `yaml:"before_script"`
		Script         []string
		After          []string `yaml:"after_script"`
	}
	var head struct {
		Stages    []string
		Variables map[string]string
	}
	must(p.w.t, yaml.Unmarshal(data, &head))
	var nodes map[string]yaml.Node
	must(p.w.t, yaml.Unmarshal(data, &nodes))
	jobs := map[string]job{}
	for name, node := range nodes {
		var j job
		if node.Kind == yaml.MappingNode && node.Decode(&j) == nil {
			jobs[name] = j
		}
	}
	env := map[string]string{}
	for _, set := range []map[string]string{head.Variables, p.given} {
		for name, value := range set {
			env[name] = value
		}
	}
	var steps []step
	for name, j := range jobs {
		if len(j.Script) == 0 {
			continue
		}
		base := jobs[j.Extends]
		script := strings.Join(slices.Concat(base.Before, j.Before, j.Script), "\n") + "\n" + strings.Join(slices.Concat(base.After, j.After), "\n")
		steps = append(steps, step{name, "sh", script, env})
	}
	slices.SortFunc(steps, func(a, b step) int {
		return slices.Index(head.Stages, jobs[a.name].Stage) - slices.Index(head.Stages, jobs[b.name].Stage)
	})
	return steps
}
