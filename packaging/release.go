package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tags are those of every build of the program.
const tags = "nobadger,nomysql,nobbolt,nopgx"

// release is one version that is being made.
type release struct {
	root string
	// described is the version as git says it, packaged as packages write it.
	described, packaged string
	commit              string
	// when is the time of everything that has one.
	when time.Time
	// work is a folder that goes in the end, out the part of it that stays.
	work, out string
	// built are the binaries that are there already.
	built map[target]string
	// shared are the files that are the same on every platform, by their path in
	// an archive.
	shared map[string][]byte
}

func newRelease(root, described string, env func(string) (string, bool)) (*release, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	r := &release{root: root, described: described, built: map[target]string{}}
	if r.described == "" {
		if r.described, err = r.git("describe", "--tags", "--always", "--dirty"); err != nil {
			return nil, fmt.Errorf("%w: name a version with -version", err)
		}
	}
	// Sources without a repository are built, too.
	r.commit, _ = r.git("rev-parse", "HEAD")
	text, ok := env("SOURCE_DATE_EPOCH")
	if !ok {
		if text, err = r.git("log", "-1", "--format=%ct"); err != nil {
			return nil, fmt.Errorf("%w: set SOURCE_DATE_EPOCH", err)
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return nil, fmt.Errorf("read SOURCE_DATE_EPOCH: %q are no seconds since 1970", text)
	}
	r.when = time.Unix(seconds, 0).UTC()
	r.packaged, err = packageVersion(r.described, r.when)
	return r, err
}

func (r *release) git(args ...string) (string, error) {
	out, err := command(r.root, nil, "git", args...)
	return strings.TrimSpace(string(out)), err
}

// command runs a program and returns what it prints; its error holds what it
// says is wrong.
func command(dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(failure.String()))
	}
	return out.Bytes(), nil
}

var (
	tagged   = regexp.MustCompile(`^v?(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.]+?))?(?:-(\d+)-g([0-9a-f]+))?(-dirty)?$`)
	untagged = regexp.MustCompile(`^([0-9a-f]{4,40})(-dirty)?$`)
)

// packageVersion is a version as dpkg and rpm order it: a candidate before its
// release, what was committed since after it, and what has no release at all
// before everything, by its time.
func packageVersion(described string, when time.Time) (string, error) {
	if m := untagged.FindStringSubmatch(described); m != nil {
		return "0~" + when.Format("20060102150405") + "." + m[1] + strings.Replace(m[2], "-", "+", 1), nil
	}
	m := tagged.FindStringSubmatch(described)
	if m == nil {
		return "", fmt.Errorf("read version: %q is neither like v1.2.3 nor what git describe says", described)
	}
	version := m[1]
	if m[2] != "" {
		version += "~" + m[2]
	}
	if m[3] != "" {
		version += "+" + m[3] + "." + m[4]
	}
	return version + strings.Replace(m[5], "-", "+", 1), nil
}

// target is a platform.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

var all = []target{
	{"linux", "amd64"}, {"linux", "arm64"}, {"linux", "arm"},
	{"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

func targetNames(targets []target) []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.String())
	}
	return names
}

func parseTargets(list string) ([]target, error) {
	var targets []target
	for name := range strings.SplitSeq(list, ",") {
		if name == "host" {
			name = runtime.GOOS + "/" + runtime.GOARCH
		}
		found := false
		for _, t := range all {
			if t.String() == name {
				targets, found = append(targets, t), true
			}
		}
		if !found {
			return nil, fmt.Errorf("build for %q: it is none of %s", name, strings.Join(targetNames(all), ", "))
		}
	}
	if len(targets) == 0 {
		return nil, errors.New("build for no platform")
	}
	return targets, nil
}

// build makes the static binary of a platform and returns its path.
func (r *release) build(t target) (string, error) {
	if path := r.built[t]; path != "" {
		return path, nil
	}
	name := "edgesync"
	if t.os == "windows" {
		name += ".exe"
	}
	path := filepath.Join(r.work, t.os+"_"+t.arch, name)
	// ARMv7: every board of the last ten years that runs an edge service.
	env := []string{"CGO_ENABLED=0", "GOOS=" + t.os, "GOARCH=" + t.arch, "GOARM=7"}
	_, err := command(r.root, env, "go", "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-tags", tags, "-ldflags", r.ldflags(), "-o", path, "./cmd/edgesync")
	if err != nil {
		return "", err
	}
	r.built[t] = path
	return path, nil
}

// ldflags stamp the version, the same whether or not there is a repository.
func (r *release) ldflags() string {
	const at = "edgesync/cmd/cmdutil."
	flags := []string{"-s", "-w", "-X", at + "Version=" + r.described, "-X", at + "CommitTime=" + r.when.Format(time.RFC3339)}
	if r.commit != "" {
		flags = append(flags, "-X", at+"Commit="+r.commit)
	}
	return strings.Join(flags, " ")
}

// base is what the files of a platform are called.
func (r *release) base(t target) string {
	return "edgesync_" + r.packaged + "_" + t.os + "_" + t.arch
}
