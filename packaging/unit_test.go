//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unit is a systemd unit: its settings by section, each with its lines in order.
type unit map[string]map[string][]string

func parseUnit(t *testing.T, data []byte) unit {
	t.Helper()
	u, section := unit{}, ""
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			u[section] = map[string][]string{}
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" || strings.HasSuffix(value, `\`) {
				t.Fatalf("cannot read %q", line)
			}
			u[section][key] = append(u[section][key], value)
		}
	}
	return u
}

func (u unit) last(section, key string) string {
	values := u[section][key]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// service is a unit's process, run as the unit says by nobody but this test.
type service struct {
	t      *testing.T
	name   string
	unit   unit
	cmd    *exec.Cmd
	log    *bytes.Buffer
	notify *net.UnixConn
}

// start does what systemd does for a unit of Type=notify: the user, the groups,
// no privileges and none to be had, the environment, the state directory, and a
// socket on which it says when it is ready. It returns nil where a condition of
// the unit does not hold.
func (r *cleanRoot) start(name string) *service {
	r.t.Helper()
	u := parseUnit(r.t, r.unitFile(name))
	for _, path := range u["Unit"]["ConditionPathExists"] {
		if !r.exists(path) {
			return nil
		}
	}
	s := &service{t: r.t, name: name, unit: u, log: &bytes.Buffer{}}
	socket := "/run/" + name + ".notify"
	var err error
	_ = os.Remove(r.path(socket))
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.path(socket), Net: "unixgram"}); err != nil {
		r.t.Fatal(err)
	}
	user, group := u.last("Service", "User"), u.last("Service", "Group")
	if err := os.Chmod(r.path(socket), 0o666); err != nil {
		r.t.Fatal(err)
	}
	if dir := u.last("Service", "StateDirectory"); dir != "" {
		r.stateDirectory("/var/lib/"+dir, user, group)
	}
	env := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "USER": user, "HOME": "/var/lib/edgesync",
		"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "200000",
	}
	r.environment(u, env)
	args := []string{"--reuid", user, "--regid", group, "--init-groups", "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all", "--"}
	for _, word := range strings.Fields(u.last("Service", "ExecStart")) {
		if variable, ok := strings.CutPrefix(word, "$"); ok {
			args = append(args, strings.Fields(env[variable])...)
			continue
		}
		args = append(args, word)
	}
	s.cmd = r.command("/usr/bin/setpriv", args...)
	s.cmd.Env = nil
	for _, key := range sorted(env) {
		s.cmd.Env = append(s.cmd.Env, key+"="+env[key])
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.notify.Close() })
	s.await("READY=1")
	s.await("WATCHDOG=1")
	return s
}

// environment adds what the unit and its files of variables say.
func (r *cleanRoot) environment(u unit, env map[string]string) {
	add := func(line string) {
		if key, value, ok := strings.Cut(line, "="); ok {
			env[key] = strings.Trim(value, `"`)
		}
	}
	for _, line := range u["Service"]["Environment"] {
		add(line)
	}
	for _, file := range u["Service"]["EnvironmentFile"] {
		data, err := os.ReadFile(r.path(strings.TrimPrefix(file, "-")))
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && file[0] == '-') {
			r.t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				add(line)
			}
		}
	}
}

// await reads what the service says until it says the word.
func (s *service) await(word string) {
	s.t.Helper()
	_ = s.notify.SetReadDeadline(time.Now().Add(time.Minute))
	buffer := make([]byte, 4096)
	for {
		n, err := s.notify.Read(buffer)
		if err != nil {
			s.t.Fatalf("%s did not say %s: %v\n%s", s.name, word, err, s.log)
		}
		if slices.Contains(strings.Split(string(buffer[:n]), "\n"), word) {
			return
		}
	}
}

// reload does what the unit's ExecReload says.
func (s *service) reload() {
	s.t.Helper()
	if got := s.unit.last("Service", "ExecReload"); got != "/bin/kill -HUP $MAINPID" {
		s.t.Fatalf("ExecReload is %q", got)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	s.await("RELOADING=1")
	s.await("READY=1")
}

// stop ends the service as the manager does.
func (s *service) stop() {
	s.t.Helper()
	if s == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("%s ended with %v\n%s", s.name, err, s.log)
	}
}

// TestUnits has each unit confined as the others are, started by a manager that
// watches it, and of a program that is there.
func TestUnits(t *testing.T) {
	files := untar(t, read(t, only(t, dist(t), "*.tar.gz")))
	reference := parseUnit(t, ownFile(serveUnit))
	confined := []string{"LimitCORE", "CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset",
		"ProtectClock", "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "PrivateDevices", "PrivateTmp",
		"PrivateUsers", "RemoveIPC", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute",
		"SystemCallArchitectures", "SystemCallFilter", "UMask", "StateDirectory", "StateDirectoryMode", "User", "Group", "Type", "NotifyAccess", "WatchdogSec", "Restart"}
	dir := t.TempDir()
	for _, name := range []string{serveUnit, runUnit, platformUnit} {
		var data []byte
		for path, content := range files {
			if filepath.Base(path) == name {
				data = content
			}
		}
		u := parseUnit(t, data)
		for _, key := range confined {
			if !slices.Equal(u["Service"][key], reference["Service"][key]) || len(u["Service"][key]) == 0 {
				t.Errorf("%s: %s is %q, and %q elsewhere", name, key, u["Service"][key], reference["Service"][key])
			}
		}
		if !strings.HasPrefix(u.last("Service", "ExecStart"), "/usr/bin/edgesync ") {
			t.Errorf("%s starts %q", name, u.last("Service", "ExecStart"))
		}
		// Its program is not installed here.
		text := strings.ReplaceAll(string(data), "ExecStart=/usr/bin/edgesync", "ExecStart=/bin/true")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the units were not verified")
	}
	for _, name := range []string{serveUnit, runUnit, platformUnit} {
		cmd := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, name))
		if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte(name)) {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
	exposure(t, analyze, dir)
}

// exposure holds the units to what systemd thinks of their confinement.
func exposure(t *testing.T, analyze, dir string) {
	t.Helper()
	for _, name := range []string{serveUnit, runUnit, platformUnit} {
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Errorf("%s is more exposed than 2.0: %s", name, lines[len(lines)-1])
		}
	}
}
