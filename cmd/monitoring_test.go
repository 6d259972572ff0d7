package cmd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v3"

	"edgesync/faker"
)

// series is a line of a scrape.
var series = regexp.MustCompile(`(?m)^([a-z_]+)(\{.*\})? ([0-9.e+-]+)$`)

// scrape is what a process answers on /metrics.
type scrape struct {
	text  string
	names map[string]bool
}

func scraped(t *testing.T, addr string) scrape {
	t.Helper()
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return scrape{}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	s := scrape{text: string(text), names: map[string]bool{}}
	for _, m := range series.FindAllStringSubmatch(s.text, -1) {
		s.names[m[1]] = true
	}
	return s
}

// sum adds up the series of a metric that have a label's value, or with an empty
// one all.
func (s scrape) sum(t *testing.T, name, label string) (total float64) {
	t.Helper()
	for _, m := range series.FindAllStringSubmatch(s.text, -1) {
		if m[1] == name && strings.Contains(m[2], label) {
			value, err := strconv.ParseFloat(m[3], 64)
			must(t, err)
			total += value
		}
	}
	return total
}

// TestMonitoring runs a platform and a sync service and holds what they answer to
// Prometheus's conventions, to the books, and to the dashboard and the alerts.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: t.TempDir(), addrs: newAddrs(t), ids: map[string]string{}}
	w.idle = filepath.Join(w.dir, "state")
	w.env = append(os.Environ(), "HOME="+w.dir, "GORACE=atexit_sleep_ms=20", "NO_COLOR=1", "ARMIS_KEY="+faker.DemoSecret)
	w.serveInventory()
	w.run(w.idle, "bootstrap", "--gateway-addr", w.addrs.gateway, "--ca-addr", w.addrs.ca)
	w.run(w.idle, "tenant", "create", "acme")
	w.run(w.idle, "onboard", "--tenant", "acme", "--name", "HQ Sync", "--out", w.dir, "--no-input")
	w.do(exec.Command("tar", "-xzf", w.path("edge-package-hq-sync.tar.gz"), "-C", w.dir))
	w.run(w.idle, "source", "add", "hq-armis", "--tenant", "acme", "--type", "armis", "--endpoint", w.inventory.URL,
		"--credential", "secret_key=env:ARMIS_KEY", "--blacklist", "203.0.113.0/24")
	w.start(w.idle, "serve", w.serveFlags(w.addrs)...)
	metrics := addresses(t, 1)[0]
	w.start(w.idle, "run", "--config", w.config("hq-sync"), "--data-dir", w.path("data"), "--metrics-listen", metrics)
	var platform, service scrape
	eventually(t, "the first run and the first census", func() bool {
		platform, service = scraped(t, w.addrs.metrics), scraped(t, metrics)
		return service.sum(t, "edgesync_run_updates_total", `outcome="acknowledged"`) == armisDevices &&
			platform.sum(t, "edgesync_run_reports_total", "") > 0 && platform.names["edgesync_sources"]
	})
	t.Run("conventions", func(t *testing.T) {
		for name, s := range map[string]scrape{"serve": platform, "run": service} {
			problems, err := promlint.New(strings.NewReader(s.text)).Lint()
			must(t, err)
			for _, problem := range problems {
				t.Errorf("%s: %s: %s", name, problem.Metric, problem.Text)
			}
		}
	})
	t.Run("books", func(t *testing.T) {
		for _, equal := range []struct {
			what        string
			left, right float64
		}{
			{"found at the source, and what became of it", service.sum(t, "edgesync_run_devices_found_total", ""), service.sum(t, "edgesync_run_devices_total", "")},
			{"queued, and taken by the outbox", service.sum(t, "edgesync_run_devices_total", `"queued"`), service.sum(t, "edgesync_run_updates_taken_total", "")},
			{"taken, and what became of it", service.sum(t, "edgesync_run_updates_taken_total", ""), service.sum(t, "edgesync_run_updates_total", "") + service.sum(t, "edgesync_run_outbox_updates", "")},
			{"acknowledged, and handed on by the gateway", service.sum(t, "edgesync_run_updates_total", `"acknowledged"`), platform.sum(t, "edgesync_gateway_updates_total", "")},
			{"handed on by the gateway, and received", platform.sum(t, "edgesync_gateway_updates_total", ""), platform.sum(t, "edgesync_updates_received_total", "")},
			{"received, and what became of it", platform.sum(t, "edgesync_updates_received_total", ""), platform.sum(t, "edgesync_updates_total", "")},
		} {
			if equal.left != equal.right || equal.left == 0 {
				t.Errorf("%s: %v and %v", equal.what, equal.left, equal.right)
			}
		}
	})
	t.Run("dashboard and alerts", func(t *testing.T) {
		used := slices.Concat(dashboardExpressions(t), alertExpressions(t))
		if len(used) < 40 {
			t.Fatalf("only %d expressions were found", len(used))
		}
		for _, expression := range used {
			for _, name := range regexp.MustCompile(`\b(edgesync|process|go)_[a-z_]+`).FindAllString(expression, -1) {
				if !platform.names[name] && !service.names[name] {
					t.Errorf("%s is in no scrape: %s", name, expression)
				}
			}
		}
	})
	t.Run("promtool", func(t *testing.T) { tryPromtool(t, platform, service) })
}

func monitoring(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "deploy", "monitoring", name))
	must(t, err)
	return data
}

func dashboardExpressions(t *testing.T) (found []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID          int
			Type, Title string
			Description string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(monitoring(t, "dashboard.json"), &dashboard))
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.GridPos.X+panel.GridPos.W > 24 || panel.Title == "" {
			t.Errorf("panel %d (%s) is there twice or out of place", panel.ID, panel.Title)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && (panel.Description == "" || len(panel.Targets) == 0) {
			t.Errorf("panel %s says not what it shows", panel.Title)
		}
		for _, target := range panel.Targets {
			found = append(found, target.Expr)
		}
	}
	return found
}

func alertExpressions(t *testing.T) (found []string) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	must(t, yaml.Unmarshal(monitoring(t, "alerts.yml"), &file))
	tests := monitoring(t, "tests.yml")
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("alert %s says not how bad it is, what is wrong and what to do", rule.Alert)
			}
			if bytes.Count(tests, []byte("alertname: "+rule.Alert)) < 2 {
				t.Errorf("alert %s is not tested both ways in tests.yml", rule.Alert)
			}
			found = append(found, rule.Expr)
		}
	}
	return found
}

// tryPromtool has Prometheus's own tool judge the rules and the scrapes.
func tryPromtool(t *testing.T, scrapes ...scrape) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("EDGESYNC_REQUIRE_PROMTOOL") != "" {
			t.Fatal("promtool is not installed (Debian: apt-get install prometheus)")
		}
		t.Skip("SKIPPED: promtool is not installed (Debian: apt-get install prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "tests.yml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = filepath.Join("..", "deploy", "monitoring")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v:\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, s := range scrapes {
		cmd := exec.Command(tool, "check", "metrics")
		cmd.Stdin = strings.NewReader(s.text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool check metrics: %v:\n%s", err, out)
		}
	}
}
