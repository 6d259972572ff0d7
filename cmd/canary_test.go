package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edgesync/cmd"
	"edgesync/cmd/cmdutil"
	"edgesync/cmd/run"
	"edgesync/cmd/serve"
	"edgesync/store/postgres/pgtest"
)

// told is everything that was told to anybody, by where.
type told struct {
	mu    sync.Mutex
	texts map[string]*bytes.Buffer
}

func (l *told) by(what string) io.Writer { return teller{l, what} }

type teller struct {
	told *told
	what string
}

func (w teller) Write(data []byte) (int, error) {
	w.told.mu.Lock()
	defer w.told.mu.Unlock()
	text := w.told.texts[w.what]
	if text == nil {
		text = &bytes.Buffer{}
		w.told.texts[w.what] = text
	}
	return text.Write(data)
}

// canary runs commands in this process, so that everything logs all it can, and
// collects the secrets as they come to be.
type canary struct {
	t       *testing.T
	dir     string
	env     map[string]string
	told    told
	secrets map[string]string
}

// run runs a command line, which may fail, and returns what it told.
func (c *canary) run(stdin string, args ...string) string {
	c.t.Helper()
	var out, errOut bytes.Buffer
	name := "edgesync " + strings.Join(args[:min(len(args), 3)], " ")
	cmd.Run(c.t.Context(), &cmdutil.IOStreams{
		In: bufio.NewReader(strings.NewReader(stdin)), Out: io.MultiWriter(&out, c.told.by(name+" (stdout)")), Err: io.MultiWriter(&errOut, c.told.by(name+" (stderr)")),
	}, func(name string) (string, bool) { value, ok := c.env[name]; return value, ok }, args)
	return out.String() + errOut.String()
}

// good is run of what must succeed; its answer is JSON.
func (c *canary) good(args ...string) map[string]any {
	c.t.Helper()
	text := c.run("", append(args, "-o", "json", "--no-input")...)
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		c.t.Fatalf("edgesync %s: %s", strings.Join(args, " "), text)
	}
	return answer
}

// token mints a token, which is a secret from then on, and returns its file.
func (c *canary) token(name string) (path, text string) {
	c.t.Helper()
	path = c.good("onboard", "--tenant", "acme", "--name", name, "--mode", "token", "--out", filepath.Join(c.dir, "tokens"))["path"].(string)
	data, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	text = strings.TrimSpace(string(data))
	parts := strings.Split(text, ".")
	c.secrets["token of "+name+", its claims"], c.secrets["token of "+name+", its signature"] = parts[1], parts[2]
	return path, text
}

func (c *canary) logger(what string) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.told.by(what), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestNothingSecretIsTold looks for join tokens, keys, the keyset, credentials
// and passwords in whatever is told over the life of identities: output, logs at
// the level of debugging, errors, events and what the state directory holds.
func TestNothingSecretIsTold(t *testing.T) {
	t.Parallel()
	c := &canary{t: t, dir: t.TempDir(), told: told{texts: map[string]*bytes.Buffer{}}, secrets: map[string]string{}}
	at := func(name string) string { return filepath.Join(c.dir, name) }
	c.env = map[string]string{"EDGESYNC_STATE_DIR": at("state"), "HOME": c.dir}
	if pgtest.Available() {
		// The test's server trusts everybody, and takes any password.
		database, err := url.Parse(pgtest.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		c.secrets["the database's password"] = "canary-password-7c1e"
		database.User = url.UserPassword(database.User.Username(), c.secrets["the database's password"])
		c.env["EDGESYNC_DATABASE"] = database.String()
	}
	addr := addresses(t, 5)
	gateway, ca, administration, inventory := addr[0], addr[1], addr[2], addr[3]
	c.good("bootstrap", "--gateway-addr", gateway, "--ca-addr", ca)
	ctx, stop := context.WithCancel(t.Context())
	platform, err := serve.Start(ctx, serve.Config{
		StateDir: at("state"), Database: c.env["EDGESYNC_DATABASE"], Listen: gateway, CAListen: ca, AdminListen: administration, MetricsListen: addr[4],
		Logger: c.logger("the log of serve"), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.good("tenant", "create", "acme")

	// Tokens, used and abused.
	path, text := c.token("HQ Sync")
	c.good("enroll", "--dir", at("hq"), "--token-file", path)
	c.run("", "enroll", "--dir", at("again"), "--token-file", path, "--no-input")
	c.run("", "enroll", "--dir", at("hq"), "--token-file", path, "--no-input")
	c.run(text, "enroll", "--dir", at("again"), "--token-file", "-", "--no-input")
	c.run(`{"token":"`+text+`"}`, "enroll", "--dir", at("again"), "--token-file", "-", "--no-input")
	c.run(text[5:], "enroll", "--dir", at("again"), "--token-file", "-", "--no-input")
	c.run(text[:len(text)-9], "enroll", "--dir", at("again"), "--token-file", "-", "--no-input")
	c.run("", "enroll", "--dir", at("again"), "--token-file", text, "--no-input")
	c.run("", "enroll", "--dir", at("again"), "--no-input", text)
	c.run("", "enroll", "--token="+text)
	c.run("", "onboard", "tokens", "cancel", text, "--tenant", "acme")
	c.run("", "run", "--config", text)
	c.run("", text)
	_, text = c.token("edited")
	parts := strings.Split(text, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{{gateway, "evil.example:1"}, {"https:", "http:"}, {ca, inventory}} {
		parts[1] = base64.RawURLEncoding.EncodeToString(bytes.ReplaceAll(claims, []byte(edit[0]), []byte(edit[1])))
		c.run(strings.Join(parts, "."), "enroll", "--dir", at("again"), "--token-file", "-", "--no-input")
	}
	_, text = c.token("gone")
	tokens := c.run("", "onboard", "tokens", "list", "--tenant", "acme", "-o", "json")
	id := regexp.MustCompile(`"id": "([^"]+)"`).FindStringSubmatch(tokens)[1]
	c.good("onboard", "tokens", "cancel", id, "--tenant", "acme")
	c.env["EDGESYNC_JOIN_TOKEN"] = text
	c.run("", "enroll", "--dir", at("again"), "--no-input")
	delete(c.env, "EDGESYNC_JOIN_TOKEN")

	// A package, an operator, credentials.
	c.good("onboard", "--tenant", "acme", "--name", "package", "--out", at("packages"))
	c.good("operator", "add", "alice", "--role", "admin", "--out", at("alice"))
	c.keys("state", "hq", "alice")
	c.secrets["a credential"] = "canary-credential-5e1f"
	if err := os.WriteFile(at("credential"), []byte(c.secrets["a credential"]), 0o600); err != nil {
		t.Fatal(err)
	}
	c.good("source", "add", "lab", "--tenant", "acme", "--service", "hq-sync", "--type", "armis", "--endpoint", "http://"+inventory, "--credential", "secret_key=@"+at("credential"), "--query", "all=in:devices")
	faker := brokenSource(t, inventory)
	c.secrets["the passphrase of a backup"] = "canary-passphrase-93ab"
	if err := os.WriteFile(at("passphrase"), []byte(c.secrets["the passphrase of a backup"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	remote := []string{"--server", administration, "--identity", at("alice")}

	// The runtime, its renewals, and everything that shows or says something.
	service, err := run.New(run.Config{File: at("hq/config/sync.json"), DataDir: at("data"), Once: true, Logger: c.logger("the log of run"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Run(t.Context()); err != nil {
		_, _ = io.WriteString(c.told.by("the error of run"), cmdutil.ErrorLine(err))
	}
	c.good("cert", "renew", at("hq"))
	c.good("cert", "renew", at("alice"))
	c.keys("hq", "alice")
	for _, line := range [][]string{
		{"cert", "inspect", at("hq")}, {"cert", "inspect", at("hq/certs/component-key.pem")}, {"cert", "inspect", at("alice/ca-chain.pem")},
		{"cert", "list"}, {"cert", "list", "--history"}, {"cert", "list", "--authorities"},
		{"serve", "config", "show"}, {"doctor", "-o", "table"}, {"doctor", "--config", at("hq/config/sync.json")}, append([]string{"doctor"}, remote...),
		{"operator", "list"}, {"operator", "add", "alice", "--role", "viewer", "--out", at("alice")}, {"operator", "add", "eve", "--role", "king", "--out", at("eve")},
		{"service", "list"}, {"service", "show", "hq-sync", "--tenant", "acme"}, {"source", "list"}, {"source", "show", "lab", "--tenant", "acme"},
		{"source", "test", "lab", "--tenant", "acme"}, {"onboard", "tokens", "list"}, {"tenant", "list"}, {"event", "list", "--limit", "1000"},
		append(remote, "service", "list"), append(remote, "event", "list"), append(remote, "bootstrap"),
		{"cert", "rotate-ca", "--tenant", "acme"}, {"cert", "rotate-ca", "--root"}, {"cert", "renew", at("hq")},
		{"service", "revoke", "hq-sync", "--tenant", "acme"}, {"run", "--config", at("hq/config/sync.json"), "--once"}, {"cert", "renew", at("hq")},
		{"backup", at("backup"), "--passphrase-file", at("passphrase")},
		{"restore", at("backup"), "--passphrase-file", at("credential"), "--state-dir", at("restored")},
		{"restore", at("backup"), "--passphrase-file", at("passphrase"), "--state-dir", at("restored"), "--dry-run"},
		{"event", "export"}, {"operator", "revoke", "alice"}, append(remote, "tenant", "list"), {"cert", "renew", at("alice")},
		{"tenant", "suspend", "acme"}, {"event", "list", "--limit", "1000"},
	} {
		c.run("", append(line, "-o", "json")...)
		if line[1] != "test" { // Which takes its time to find out that nobody runs the source.
			c.run("", line...)
		}
	}
	// A key that others can read, one that is damaged, and another's.
	c.spoil(at("hq/certs/component-key.pem"))
	stop()
	if err := platform.Wait(); err != nil {
		t.Error(err)
	}
	if faker.Load() == 0 {
		t.Error("the source was not asked: nothing is known of its credential")
	}
	c.run("", "tenant", "list", "-o", "json")
	if !strings.Contains(c.run("", "event", "list", "--tenant", "acme", "-o", "json"), "enrolment_refused") {
		t.Error("no refusal is among the events")
	}

	for where, text := range c.told.texts {
		for what, secret := range c.secrets {
			if len(secret) > 10 && strings.Contains(text.String(), secret) {
				t.Errorf("%s tells %s", where, what)
			}
		}
	}
	for what, secret := range c.secrets {
		if strings.HasPrefix(what, "token") || strings.HasPrefix(what, "a credential") || strings.HasPrefix(what, "the database") {
			c.absent(what, secret, "state", "hq", "data")
		}
	}
	if len(c.secrets) < 20 || len(c.told.texts) < 50 {
		t.Errorf("only %d secrets were looked for in %d places", len(c.secrets), len(c.told.texts))
	}
}

// keys remembers the private keys, and the keyset, below folders.
func (c *canary) keys(dirs ...string) {
	c.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(c.dir, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			switch {
			case err != nil:
			case strings.HasSuffix(path, "-key.pem"):
				lines := strings.Split(strings.TrimSpace(string(data)), "\n")
				// Every line but the first, which keys of one kind have in common.
				for n, line := range lines[2 : len(lines)-1] {
					c.secrets[path+" line "+string(rune('2'+n))+" "+line[:4]] = line
				}
			case filepath.Base(path) == "keyset.json":
				c.secrets["the keyset"] = regexp.MustCompile(`"value":"([^"]+)"`).FindStringSubmatch(string(data))[1]
			}
			return err
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// spoil has commands use a key file that is not as it should be.
func (c *canary) spoil(path string) {
	c.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, one := range []struct {
		mode fs.FileMode
		data []byte
	}{
		{0o644, data}, {0o600, data[:len(data)-40]}, {0o600, bytes.ReplaceAll(data, []byte("PRIVATE KEY"), []byte("CERTIFICATE"))},
		{0o600, bytes.Replace(data, []byte("\n"), []byte("\nProc-Type: x\n"), 1)},
	} {
		if err := os.WriteFile(path, one.data, 0o600); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Chmod(path, one.mode); err != nil {
			c.t.Fatal(err)
		}
		for _, line := range [][]string{
			{"doctor", "--config", filepath.Join(c.dir, "hq/config/sync.json")}, {"run", "--config", filepath.Join(c.dir, "hq/config/sync.json"), "--once"},
			{"cert", "renew", filepath.Join(c.dir, "hq")}, {"cert", "inspect", path},
		} {
			c.run("", line...)
		}
	}
}

// absent wants no file below folders to hold a secret.
func (c *canary) absent(what, secret string, dirs ...string) {
	c.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(c.dir, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if bytes.Contains(data, []byte(secret)) {
				c.t.Errorf("%s holds %s", path, what)
			}
			return err
		})
		if err != nil {
			c.t.Error(err)
		}
	}
}

// TestNoFlagTakesASecret: the arguments of a process are everybody's to read.
func TestNoFlagTakesASecret(t *testing.T) {
	harmless := map[string]string{
		"credential": "a file's or a variable's name, a value is refused",
		"database":   "a URL, one with a password is refused", "remove-credential": "a credential's name",
	}
	suspicious := regexp.MustCompile(`token|secret|passw|passphrase|credential|key|database|auth`)
	var walk func(*cobra.Command)
	walk = func(command *cobra.Command) {
		command.Flags().VisitAll(func(f *pflag.Flag) {
			if suspicious.MatchString(f.Name) && !strings.HasSuffix(f.Name, "-file") && harmless[f.Name] == "" && f.Value.Type() != "bool" {
				t.Errorf("%s has a flag --%s", command.CommandPath(), f.Name)
			}
		})
		for _, child := range command.Commands() {
			walk(child)
		}
	}
	streams, _, _ := cmdutil.TestStreams("")
	root := cmd.NewRoot(&cmdutil.Factory{IO: streams, Env: func(string) (string, bool) { return "", false }, Now: time.Now})
	walk(root)
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if suspicious.MatchString(f.Name) && !strings.HasSuffix(f.Name, "-file") && harmless[f.Name] == "" {
			t.Errorf("there is a flag --%s", f.Name)
		}
	})
}

// brokenSource answers whoever asks an inventory with what he sent, and counts.
func brokenSource(t *testing.T, addr string) *atomic.Int32 {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	asked := &atomic.Int32{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, "refused: %s %s %v", body, r.URL, r.Header)
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return asked
}
