//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// cleanRoot is a Debian root in a folder, in which only the package is.
type cleanRoot struct {
	t   *testing.T
	dir string
}

// rootTools are what scripts and units need besides the package.
var rootTools = []string{
	"sh", "getent", "groupadd", "useradd", "setpriv", "id", "find", "tar", "gzip",
	"basename", "cat", "chgrp", "chmod", "chown", "cmp", "cp", "cut", "dirname", "grep", "kill", "ln", "ls", "mkdir", "mv", "rm", "rmdir", "sed", "sha256sum", "touch", "tr", "uname",
}

// newRoot makes a root out of the programs of this host, or of the folder in
// EDGESYNC_TEST_DEBIAN_ROOT, such as debootstrap makes, which is used up.
func newRoot(t *testing.T) *cleanRoot {
	t.Helper()
	if os.Geteuid() != 0 {
		require(t, "it takes root to install a package")
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		require(t, "dpkg is not installed")
	}
	if dir := os.Getenv("EDGESYNC_TEST_DEBIAN_ROOT"); dir != "" {
		return &cleanRoot{t, dir}
	}
	// The folder is reached by the services' user, so not below t.TempDir.
	dir, err := os.MkdirTemp("/var/tmp", "edgesync-root-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &cleanRoot{t, dir}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.skeleton()
	for _, tool := range rootTools {
		r.tool(tool)
	}
	return r
}

// require skips a test, or fails it where the check is to be whole.
func require(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("EDGESYNC_REQUIRE_PACKAGES") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func (r *cleanRoot) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *cleanRoot) path(name string) string { return filepath.Join(r.dir, name) }

func (r *cleanRoot) exists(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

func (r *cleanRoot) write(name, text string, mode fs.FileMode) {
	r.t.Helper()
	r.must(os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	r.must(os.WriteFile(r.path(name), []byte(text), mode))
}

func (r *cleanRoot) skeleton() {
	for _, dir := range []string{"dev", "etc", "proc", "root", "run", "tmp", "usr/bin", "usr/lib", "usr/sbin", "usr/local/bin", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/tmp"} {
		r.must(os.MkdirAll(r.path(dir), 0o755))
	}
	for _, dir := range []string{"tmp", "var/tmp"} {
		r.must(os.Chmod(r.path(dir), 0o777|fs.ModeSticky))
	}
	for link, to := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib"} {
		r.must(os.Symlink(to, r.path(link)))
	}
	r.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", 0o644)
	r.write("etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644)
	r.write("etc/shadow", "root:*:19000:0:99999:7:::\n", 0o640)
	r.write("etc/gshadow", "root:*::\n", 0o640)
	r.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n", 0o644)
	r.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)
	r.write("etc/login.defs", "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\nUID_MIN 1000\nGID_MIN 1000\n", 0o644)
	// What the package depends on was copied, not installed.
	r.write("var/lib/dpkg/status", "Package: passwd\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: all\nVersion: 1\nDescription: users\n\n", 0o644)
	if err := syscall.Mknod(r.path("dev/null"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		r.write("dev/null", "", 0o666)
	}
	r.must(os.Chmod(r.path("dev/null"), 0o666))
}

// tool copies a program of this host and the libraries it is linked with.
func (r *cleanRoot) tool(name string) {
	r.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
	}
	path, err = filepath.EvalSymlinks(path)
	r.must(err)
	target := filepath.Join("usr/bin", name)
	if strings.Contains(path, "/sbin/") {
		target = filepath.Join("usr/sbin", name)
	}
	r.copy(path, target)
	out, _ := exec.Command("ldd", path).Output() // a script is linked with nothing
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			real, err := filepath.EvalSymlinks(word)
			r.must(err)
			r.copy(real, strings.Replace(strings.Replace(word, "/usr/", "/", 1), "/lib64/", "/lib/", 1))
		}
	}
}

func (r *cleanRoot) copy(from, to string) {
	r.t.Helper()
	if r.exists(to) {
		return
	}
	data, err := os.ReadFile(from)
	r.must(err)
	r.must(os.MkdirAll(filepath.Dir(r.path(to)), 0o755))
	r.must(os.WriteFile(r.path(to), data, 0o755))
}

// command is a program of the root's, run in it.
func (r *cleanRoot) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8"}
	return cmd
}

// run runs a command of root's in it and returns what it prints.
func (r *cleanRoot) run(words ...string) string {
	r.t.Helper()
	name := words[0]
	if !strings.HasPrefix(name, "/") {
		name = "/usr/bin/" + name
	}
	cmd := r.command(name, words[1:]...)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s%s", strings.Join(words, " "), err, &out, &failure)
	}
	return out.String()
}

func (r *cleanRoot) dpkg(args ...string) {
	r.t.Helper()
	out, err := exec.Command("dpkg", append([]string{"--root=" + r.dir, "--force-not-root", "--no-triggers", "--log=" + r.path("dpkg.log")}, args...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("dpkg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (r *cleanRoot) unitFile(name string) []byte {
	r.t.Helper()
	// As systemd looks for it.
	for _, dir := range []string{"etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"} {
		data, err := os.ReadFile(r.path(filepath.Join(dir, name)))
		if err == nil {
			return data
		}
		if !errors.Is(err, fs.ErrNotExist) {
			r.t.Fatal(err)
		}
	}
	r.t.Fatalf("there is no unit %s", name)
	return nil
}

// ids are the numbers of a user and a group of the root's.
func (r *cleanRoot) ids(user, group string) (uid, gid int) {
	r.t.Helper()
	number := func(database, name string) int {
		fields := strings.Split(r.run("getent", database, name), ":")
		n, err := strconv.Atoi(fields[2])
		r.must(err)
		return n
	}
	return number("passwd", user), number("group", group)
}

func (r *cleanRoot) stateDirectory(dir, user, group string) {
	r.t.Helper()
	uid, gid := r.ids(user, group)
	r.must(os.MkdirAll(r.path(dir), 0o700))
	r.must(os.Chown(r.path(dir), uid, gid))
}

// tree is every file of the root with its owner and mode, and of regular files
// their content, below none of the folders.
func (r *cleanRoot) tree(except ...string) map[string]string {
	r.t.Helper()
	found := map[string]string{}
	r.must(filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, r.dir), "/")
		if err != nil {
			return err
		}
		if slices.Contains(except, name) {
			return skip(entry)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		uid, gid := ownerOf(info)
		found[name] = fmt.Sprintf("%v %d:%d", info.Mode(), uid, gid)
		if info.Mode().IsRegular() {
			found[name] += fmt.Sprintf(" %d %s", info.Size(), info.ModTime())
		}
		return nil
	}))
	return found
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid)
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// documents is the JSON list a command prints.
func (r *cleanRoot) documents(words ...string) []map[string]any {
	r.t.Helper()
	var list []map[string]any
	text := r.run(append(words, "-o", "json")...)
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		r.t.Fatalf("%s: %v in %s", strings.Join(words, " "), err, text)
	}
	return list
}

// until polls.
func (r *cleanRoot) until(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited a minute for %s", what)
		}
	}
}

// port hands out ports below those the system picks for connections, each once:
// one that was free and is given back may be anybody's a moment later.
var port atomic.Int32

func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		// Neither do tests of other packages take these.
		addr := fmt.Sprint("127.0.0.1:", 15_000+(int32(os.Getpid()%100*50)+port.Add(1))%5_000)
		if listener, err := net.Listen("tcp", addr); err == nil {
			_ = listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
