package cmd_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"edgesync/cmd"
	"edgesync/store/postgres/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"edgesync": func() { os.Exit(cmd.MainAt(ahead)) },
	})
}

// ahead is the clock of a process that a script has run in the future.
func ahead() time.Time {
	now := time.Now()
	if text := os.Getenv("AHEAD"); text != "" {
		by, err := time.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		now = now.Add(by)
	}
	return now
}

// TestScripts runs the scripts in testdata/script through the real Main, each
// command in a process of its own. A script has a state directory and free
// addresses of its own; docs/SPEC.md's promises are in the scripts' names.
func TestScripts(t *testing.T) {
	// Scripts hang up. Where that is ignored, as under nohup, what they start would
	// ignore it, too: what a process catches is as usual again in those it starts.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	database, empty, fresh := "", "", ""
	if pgtest.Available() {
		database, empty, fresh = pgtest.Database(t), pgtest.Database(t), pgtest.Database(t)
	}
	runScripts(t, "script", map[string]string{"DATABASE": database, "COPY": empty, "NEW": fresh})
}

// TestR04_R21_R30_StoryOfAnIdentity runs one script on either store.
func TestR04_R21_R30_StoryOfAnIdentity(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { runScripts(t, "story", nil) })
	t.Run("PostgreSQL", func(t *testing.T) {
		runScripts(t, "story", map[string]string{"EDGESYNC_DATABASE": pgtest.Database(t)})
	})
}

func runScripts(t *testing.T, dir string, given map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", dir),
		Setup: func(env *testscript.Env) error {
			for name, value := range given {
				env.Setenv(name, value)
			}
			env.Setenv("EDGESYNC_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			// Under the race detector each process would wait a second before it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=20")
			for _, name := range []string{"GATEWAY", "CA", "METRICS", "FAKER"} {
				addr, err := freeAddr()
				if err != nil {
					return err
				}
				env.Setenv(name, addr)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "postgres":
				return given["DATABASE"] != "", nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exitcode": scriptExitCode,
			"oneline":  scriptOneLine,
			"json":     scriptJSON,
			"keys":     scriptKeys,
			"column":   scriptColumn,
			"jsonenv":  scriptJSONEnv,
			"ready":    scriptReady,
			"until":    scriptUntil,
			"absent":   scriptAbsent,
			"sql":      scriptSQL,
		},
	})
}

// ports hands out ports below those the system picks for connections, each once:
// one that was free and is given back may be anybody's a moment later.
var ports = struct {
	sync.Mutex
	next int
}{next: 20_000 + os.Getpid()%100*100}

func freeAddr() (string, error) {
	ports.Lock()
	defer ports.Unlock()
	var err error
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.next))
		if ports.next++; ports.next > 32_000 {
			ports.next = 20_000
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", addr); err == nil {
			return addr, listener.Close()
		}
	}
	return "", err
}

// exitcode CODE COMMAND ARG... runs a command that must end with the code.
func scriptExitCode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if asExit(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func asExit(err error, target **exec.ExitError) bool {
	exit, ok := err.(*exec.ExitError)
	*target = exit
	return ok
}

// oneline wants the last command to have left one line on stderr and nothing on
// stdout: what an error looks like.
func scriptOneLine(ts *testscript.TestScript, _ bool, _ []string) {
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout holds %q", out)
	}
	text := ts.ReadFile("stderr")
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || !strings.HasPrefix(text, "edgesync: ") {
		ts.Fatalf("stderr is not one line: %q", text)
	}
}

// at follows a path such as ".0.sources.len" through the JSON of the last stdout;
// "len" is the length of a list.
func at(ts *testscript.TestScript, path string) any {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &value))
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		switch container := value.(type) {
		case map[string]any:
			next, ok := container[part]
			if !ok {
				ts.Fatalf("%s: there is no key %q", path, part)
			}
			value = next
		case []any:
			if part == "len" {
				value = float64(len(container))
				continue
			}
			index, err := strconv.Atoi(part)
			if err != nil || index >= len(container) {
				ts.Fatalf("%s: no element %q in a list of %d", path, part, len(container))
			}
			value = container[index]
		default:
			ts.Fatalf("%s: %v has no %q", path, value, part)
		}
	}
	return value
}

// json PATH VALUE compares a value in the JSON of the last stdout.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	if got := show(at(ts, args[0])); (got == args[1]) == neg {
		ts.Fatalf("%s is %q, want %q", args[0], got, args[1])
	}
}

func show(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	default:
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Sprint(value)
		}
		return string(text)
	}
}

// keys PATH KEY... wants an object to have the keys.
func scriptKeys(ts *testscript.TestScript, _ bool, args []string) {
	object, ok := at(ts, args[0]).(map[string]any)
	if !ok {
		ts.Fatalf("%s is no object", args[0])
	}
	for _, key := range args[1:] {
		if _, ok := object[key]; !ok {
			ts.Fatalf("%s has no key %q", args[0], key)
		}
	}
}

// column KEY FILE writes a key of every element of the last stdout, sorted.
func scriptColumn(ts *testscript.TestScript, _ bool, args []string) {
	var list []map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	var values []string
	for _, element := range list {
		values = append(values, show(element[args[0]]))
	}
	slices.Sort(values)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(values, "\n")+"\n"), 0o600))
}

// jsonenv NAME PATH keeps a value of the last stdout.
func scriptJSONEnv(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], show(at(ts, args[1])))
}

const patience = 30 * time.Second

func poll(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			ts.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ready ADDR waits until an HTTP server answers there.
func scriptReady(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Timeout: time.Second}
	poll(ts, args[0], func() bool {
		answer, err := client.Get("http://" + args[0] + "/readyz")
		if err == nil {
			err = answer.Body.Close()
		}
		return err == nil
	})
}

// until PATTERN COMMAND ARG... repeats a command until its output matches.
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	poll(ts, args[0], func() bool {
		_ = ts.Exec(args[1], args[2:]...)
		return pattern.MatchString(ts.ReadFile("stdout"))
	})
}

// absent TEXT DIR... wants no file below the directories to hold the text.
func scriptAbsent(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(data), args[0]) {
				return fmt.Errorf("%s holds %q", path, args[0])
			}
			return err
		}))
	}
}
