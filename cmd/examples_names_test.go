package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// names are what the names in examples and pages stand for on this machine:
// what they call a host is a port of loopback here, what they call a system's
// folder is one of the test's, a plain serve or faker listens on ports of its
// own, and nothing is installed on the machine that tests it.
func (w *world) names(dir string, a addrs, database string) []string {
	names := []string{
		"gateway.example.com:50052", a.gateway, "localhost:50052", a.gateway, "127.0.0.1:50052", a.gateway,
		"platform.example.com:9465", a.admin, ":9465", a.admin, "127.0.0.1:9464", a.metrics, ":50053", a.admin, ":50052", a.gateway,
		"sudo edgesync cert renew", "edgesync cert renew " + w.path("edge-package-old-sync", "certs"),
		"https://acme.armis.com", w.inventory.URL, "https://netbox.acme.example", w.inventory.URL,
		"postgres://edgesync@db.example.com/edgesync", "'" + database + "'",
		"/var/log/edgesync", w.path("log"), "logs.example.com:514", w.logs,
		"/run/secrets/armis", w.path("secrets", "armis"), "/etc/bash_completion.d", w.path("etc", "bash_completion.d"),
		"/usr/local/share/zsh/site-functions", w.path("zsh"), "/usr/local/share/man/man1", w.path("man"),
		"/var/lib/edgesync", filepath.Join(dir, "lib"), "/etc/edgesync/backup-passphrase", w.path("secrets", "passphrase"),
		"/etc/edgesync/", w.path("edge-package-branch-sync") + "/",
		"| man -l -", "| cat >/dev/null",
		"enroll --install", "enroll", "edgesync bootstrap", "edgesync bootstrap --ca-addr " + a.ca,
		"edgesync serve", "edgesync serve --listen " + a.gateway + " --ca-listen " + a.ca + " --metrics-listen " + a.metrics,
		"edgesync faker", "edgesync faker --listen 127.0.0.1:0",
		"edgesync demo", "edgesync demo --devices 50", "--devices 50000", "--devices 50",
	}
	for name, id := range w.ids {
		names = append(names, name, id)
	}
	return names
}

// staying are the commands that go on until they are interrupted, with what they
// say once they work.
var staying = map[string]string{
	"edgesync serve":        "platform is served",
	"edgesync run":          "configuration applied",
	"edgesync faker":        "endpoint",
	"edgesync event tail":   "service.onboarded|source.created",
	"edgesync event export": "until interrupted",
}

// screen is what a terminal shows, the key that leaves it and the exit code then.
type screen struct{ shows, key, code string }

// onTerminal are the commands that take a terminal over, and that ask plain
// questions at one with --accessible.
var onTerminal = map[string]screen{
	"edgesync tui":              {"acme", "q", "0"},
	"edgesync tui --accessible": {"What now", "C-d", "0"},
	"edgesync onboard":          {"Whose network it stands in", "C-c", "1"},
}

// live are the examples that want the platform served, and hq-sync online. They
// change it, if at all, in what no other asks for. All others have a platform
// of their own that nobody serves.
var live = map[string]bool{
	"edgesync service sync-now": true, "edgesync source sync-now": true, "edgesync source test": true,
	"edgesync run": true, "edgesync enroll": true, "edgesync doctor": true, "edgesync operator add": true, "edgesync event tail": true,
	"edgesync cert renew": true, "edgesync device trace": true, "edgesync event export": true,
}

// stories are the commands whose examples build on one another.
var stories = map[string]bool{"edgesync": true, "edgesync operator add": true}

// before are what has to be there before each example of a command, in the
// folder it runs in or its state directory.
var before = map[string]func(w *world, dir, state, example string){
	"edgesync enroll": func(w *world, dir, _, _ string) { // A token is good for one.
		w.run(w.live, "onboard", "--tenant", "globex", "--name", "Lab Sync", "--mode", "token", "--out", dir, "--no-input")
		must(w.t, os.Rename(filepath.Join(dir, "join-token-lab-sync.jwt"), filepath.Join(dir, "join-token-hq-sync.jwt")))
	},
	"edgesync cert renew": func(w *world, dir, _, example string) {
		if strings.Contains(example, "alice") {
			w.run(w.live, "operator", "add", "dave", "--role", "viewer", "--out", filepath.Join(dir, "alice"))
		}
	},
	"edgesync import": func(w *world, dir, _, _ string) {
		must(w.t, os.WriteFile(filepath.Join(dir, "sync.json"), []byte(oldConfig), 0o600))
	},
	"edgesync restore":       restoring,
	"edgesync store restore": restoring,
}

func restoring(w *world, dir, state, example string) {
	backup := "passphrase.backup"
	if strings.Contains(example, "--identity-file") {
		backup = "recipient.backup"
	}
	w.do(exec.Command("cp", w.path(backup), filepath.Join(dir, "monday.backup")))
	w.do(exec.Command("cp", w.path("secrets", "vault.key"), dir))
	if strings.Contains(example, "--settled") {
		w.run(state, "restore", w.path("recipient.backup"), "--identity-file", w.path("secrets", "vault.key"))
	}
}

// oldConfig is the configuration of a sync service of the key-value era.
const oldConfig = `{
  "kv_address": "localhost:50057", "listen_addr": ":50058", "agent_id": "site-agent",
  "sources": {
    "old-armis": {"type": "armis", "endpoint": "https://acme.armis.com", "prefix": "armis/", "credentials": {"secret_key": "canary"}},
    "old-netbox": {"type": "netbox", "endpoint": "https://netbox.acme.example", "prefix": "netbox/",
      "credentials": {"api_token": "${kv:secrets/netbox}"}}
  }
}`

// stage makes the platform that the examples of a command begin with.
func (w *world) stage(path, state string) {
	from := w.idle
	switch path {
	case "edgesync", "edgesync bootstrap", "edgesync restore", "edgesync store restore":
		return
	case "edgesync tenant create":
		from = w.path("bare")
	case "edgesync source add":
		from = w.path("onboarded")
	}
	copyTree(w.t, from, state)
}
