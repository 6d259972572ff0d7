// Command packaging makes what is released: for each platform a static binary in
// an archive with its manual pages, completions and units, a .deb and an .rpm for
// Linux, a bill of materials, and checksums over all. The same sources and the
// same time make the same bytes. It is a module of its own, so that what it is
// built with is no part of what it packages.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("packaging", flag.ContinueOnError)
	root := flags.String("root", "..", "the repository's folder")
	out := flags.String("out", "dist", "folder to write to; what is in it goes")
	list := flags.String("targets", strings.Join(targetNames(all), ","), "platforms, as OS/ARCH, or host")
	version := flags.String("version", "", "version, as git describe says it (default: asked of git)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	targets, err := parseTargets(*list)
	if err != nil {
		return err
	}
	release, err := newRelease(*root, *version, os.LookupEnv)
	if err != nil {
		return err
	}
	return release.make(*out, targets)
}

// make writes everything to a folder beside out, and puts that in its place.
func (r *release) make(out string, targets []target) (err error) {
	out, err = filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp(filepath.Dir(out), ".dist-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	r.out = filepath.Join(r.work, "out")
	if err := os.Mkdir(r.out, 0o755); err != nil {
		return err
	}
	if err := r.common(); err != nil {
		return err
	}
	for _, t := range targets {
		if err := r.target(t); err != nil {
			return fmt.Errorf("make %s: %w", t, err)
		}
	}
	if err := writeSums(r.out); err != nil {
		return err
	}
	return replace(out, r.out)
}

// target makes everything for one platform.
func (r *release) target(t target) error {
	binary, err := r.build(t)
	if err != nil {
		return err
	}
	if err := r.writeBill(t, binary); err != nil {
		return err
	}
	if err := r.writeArchive(t, binary); err != nil {
		return err
	}
	if t.os != "linux" {
		return nil
	}
	return r.writePackages(t, binary)
}

func replace(out, made string) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	return os.Rename(made, out)
}
