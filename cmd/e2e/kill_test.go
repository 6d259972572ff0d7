package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
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

	"edgesync/core"
	"edgesync/faker"
	"edgesync/faker/inventory"
	"edgesync/store/sqlite"
	"edgesync/syncrun/outbox"
)

// program is edgesync as processes of its own, on a state directory.
type program struct {
	t     *testing.T
	dir   string
	state string
	logs  *os.File
}

// process is one that runs.
type process struct {
	args   []string
	cmd    *exec.Cmd
	killed int
}

func newProgram(t *testing.T) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir()}
	p.state = filepath.Join(p.dir, "state")
	logs, err := os.Create(filepath.Join(p.dir, "log"))
	must(t, err)
	p.logs = logs
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(logs.Name())
			t.Logf("the last of the logs:\n%s", text[max(0, len(text)-8000):])
		}
		_ = logs.Close()
	})
	return p
}

func (p *program) command(args ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], args...)
	command.Dir = p.dir
	command.Env = append(os.Environ(), asProgram+"=1", "EDGESYNC_STATE_DIR="+p.state, "GORACE=atexit_sleep_ms=20",
		"KEY="+faker.DemoSecret, "TOKEN="+faker.DemoToken)
	command.Stderr = p.logs
	return command
}

// run runs a command to its end.
func (p *program) run(args ...string) []byte {
	p.t.Helper()
	out, err := p.command(args...).Output()
	if err != nil {
		p.t.Fatalf("%v: %v", args, err)
	}
	return out
}

func (p *program) start(args ...string) *process {
	p.t.Helper()
	child := &process{args: args}
	p.revive(child)
	p.t.Cleanup(func() { _ = child.cmd.Process.Kill(); _ = child.cmd.Wait() })
	return child
}

func (p *program) revive(child *process) {
	p.t.Helper()
	child.cmd = p.command(child.args...)
	child.cmd.Stdout = p.logs
	must(p.t, child.cmd.Start())
}

// kill takes a process away as a power cut does: it may be anywhere.
func (c *process) kill(t *testing.T) {
	t.Helper()
	err := c.cmd.Process.Signal(syscall.SIGKILL)
	var ended *exec.ExitError
	if wait := c.cmd.Wait(); err != nil || !errors.As(wait, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v ended before it was killed: %v, %v", c.args, err, wait)
	}
	c.killed++
}

// stop ends a process as a service manager does.
func (c *process) stop(t *testing.T) {
	t.Helper()
	must(t, c.cmd.Process.Signal(syscall.SIGTERM))
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v ended with %v", c.args, err)
	}
}

// port hands out ports below those the system picks for connections, each once:
// one that was free and is given back may be anybody's a moment later.
var port atomic.Int32

func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		// Neither do tests of other packages take these.
		addr := fmt.Sprint("127.0.0.1:", 10_000+(int32(os.Getpid()%100*50)+port.Add(1))%5_000)
		if listener, err := net.Listen("tcp", addr); err == nil {
			must(t, listener.Close())
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// counters reads the metrics of a process; nil while it does not answer.
func counters(addr string) map[string]float64 {
	response, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			values[name] = number
		}
	}
	return values
}

// kills is how often something is killed: a few times by default, as often as
// EDGESYNC_KILLS says where somebody has the time.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("EDGESYNC_KILLS")
	if text == "" {
		return 12
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// TestR26_KilledAtAnyPointNothingIsLostOrDoubled kills the runtime and the
// platform at random points while 20,000 devices are synced over and over and
// change their addresses meanwhile. In the end the inventory is the source's,
// device for device, and every stage has counted each update once.
func TestR26_KilledAtAnyPointNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills processes for a while")
	}
	devices := 20_000
	if raceDetector {
		devices = 3_000 // A store takes ten times as long there.
	}
	p := newProgram(t)
	systems, err := faker.New(faker.Options{Armis: devices, Seed: 11})
	must(t, err)
	server := httptest.NewServer(systems)
	t.Cleanup(server.Close)
	gateway, ca, platformMetrics, runMetrics := freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	p.run("bootstrap", "--gateway-addr", gateway)
	p.run("tenant", "create", "acme")
	p.run("onboard", "--tenant", "acme", "--name", "hq", "--out", p.dir, "--no-input")
	must(t, exec.Command("tar", "-xzf", filepath.Join(p.dir, "edge-package-hq.tar.gz"), "-C", p.dir).Run())
	p.run("source", "add", "main", "--tenant", "acme", "--type", "armis", "--endpoint", server.URL, "--credential", "secret_key=env:KEY",
		"--page-size", "1000", "--query", "all=in:devices", "--poll-interval", "1s", "--no-input")
	platform := p.start("serve", "--listen", gateway, "--ca-listen", ca, "--metrics-listen", platformMetrics)
	runtime := p.start("run", "--config", filepath.Join("edge-package-hq", "config", "sync.json"), "--data-dir", filepath.Join(p.dir, "data"),
		"--metrics-listen", runMetrics)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	roll := rand.New(rand.NewPCG(seed, 1))
	total := kills(t)
	for i := range total {
		// The moment is what is tried: nothing is waited for.
		time.Sleep(time.Duration(roll.IntN(2500)) * time.Millisecond)
		if roll.IntN(3) == 0 {
			systems.Advance()
		}
		victim := runtime
		if roll.IntN(5) < 2 {
			victim = platform
		}
		victim.kill(t)
		p.revive(victim)
		if i%20 == 19 {
			t.Logf("killed %d times; run %d, serve %d", i+1, runtime.killed, platform.killed)
		}
	}
	systems.Advance()
	p.wantInventory(inventory.New(11), devices, systems.Epoch())
	wantBalance(t, runMetrics, platformMetrics)
	runtime.stop(t)
	platform.stop(t)
	p.wantAccounts()
	t.Logf("killed run %d times and serve %d times", runtime.killed, platform.killed)
}

// listed is a device as the command line shows it.
type listed struct {
	Hostname string   `json:"hostname"`
	IPs      []string `json:"ips"`
	MACs     []string `json:"macs"`
	Serial   string   `json:"serial_number"`
}

// wantInventory waits until the platform holds what the source does.
func (p *program) wantInventory(world inventory.Inventory, devices int, epoch uint64) {
	p.t.Helper()
	var difference string
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Second) {
		out, err := p.command("device", "list", "--tenant", "acme", "-o", "json").Output()
		if err != nil {
			difference = err.Error()
			continue
		}
		var all []listed
		must(p.t, json.NewDecoder(bytes.NewReader(out)).Decode(&all))
		if difference = compare(all, world, devices, epoch); difference == "" {
			return
		}
	}
	p.t.Fatalf("the inventory is not the source's: %s", difference)
}

func compare(all []listed, world inventory.Inventory, devices int, epoch uint64) string {
	if len(all) != devices {
		return fmt.Sprintf("%d devices, want %d", len(all), devices)
	}
	byName := make(map[string]listed, len(all))
	for _, d := range all {
		byName[d.Hostname] = d
	}
	for i := range devices {
		want := world.Device(inventory.Armis, i, epoch)
		got, ok := byName[want.Name]
		var ips []string
		for _, addr := range want.Addresses {
			ips = append(ips, addr.String())
		}
		slices.Sort(ips)
		slices.Sort(got.IPs)
		slices.Sort(got.MACs)
		slices.Sort(want.MACs)
		if !ok || !slices.Equal(got.IPs, ips) || !slices.Equal(got.MACs, want.MACs) || got.Serial != want.Serial {
			return fmt.Sprintf("device %s is %+v, want %v %v %s", want.Name, got, ips, want.MACs, want.Serial)
		}
	}
	return ""
}

// wantAccounts compares what the outbox knows of the updates that were acknowledged
// over all its processes with what the store knows, over all of its: each of them
// is in a run that is complete, and has come to one end there.
func (p *program) wantAccounts() {
	t := p.t
	t.Helper()
	store, err := sqlite.Open(t.Context(), p.state, sqlite.Options{})
	must(t, err)
	defer store.Close()
	complete := map[string]bool{}
	var announced, outcomes int64
	for _, run := range runsOf(t, store, "acme") {
		if !run.Complete {
			continue
		}
		complete[run.ID] = true
		announced += run.Total
		ends := run.Received + run.Superseded + run.Refused + run.Held
		if outcomes += ends; ends != run.Total {
			t.Errorf("run %s announced %d updates: %d stored or unchanged, %d superseded, %d refused, %d held",
				run.ID, run.Total, run.Received, run.Superseded, run.Refused, run.Held)
		}
	}
	box, err := outbox.Open(filepath.Join(p.dir, "data", "outbox"), outbox.Options{})
	must(t, err)
	defer box.Close()
	totals := box.Totals()
	unheard := int64(0) // stored, and ended before the sender heard of it
	for _, source := range box.Sources() {
		lease, err := box.Lease(source)
		must(t, err)
		if complete[lease.Run.ID] {
			unheard += lease.Run.Updates
		}
		lease.Release()
	}
	if len(complete) == 0 || totals.Acknowledged+unheard != announced || announced != outcomes {
		t.Errorf("%d updates acknowledged and %d stored unheard, of %d in %d complete runs; %d came to an end",
			totals.Acknowledged, unheard, announced, len(complete), outcomes)
	}
	t.Logf("%d runs with %d updates taken, %d superseded, %d acknowledged in %d runs", totals.Runs, totals.Taken, totals.Superseded, totals.Acknowledged, len(complete))
}

// runsOf are all runs of a tenant's sources.
func runsOf(t *testing.T, store core.Store, slug string) (runs []core.Run) {
	t.Helper()
	var tenant core.Tenant
	must(t, store.Platform().View(t.Context(), func(tx core.PlatformTx) (err error) {
		tenant, err = tx.TenantBySlug(t.Context(), slug)
		return err
	}))
	handle, err := store.Tenant(t.Context(), tenant.ID)
	must(t, err)
	must(t, handle.View(t.Context(), func(tx core.TenantTx) error {
		runs = nil
		sources, err := tx.Sources(t.Context())
		for _, source := range sources {
			if err == nil {
				var some []core.Run
				some, err = tx.Runs(t.Context(), source.ID, 0)
				runs = append(runs, some...)
			}
		}
		return err
	}))
	return runs
}

// wantBalance waits for a moment at which nothing is under way and compares what
// each stage has counted.
func wantBalance(t *testing.T, run, platform string) {
	t.Helper()
	var problem string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r, c := counters(run), counters(platform)
		if r == nil || c == nil {
			problem = "no metrics"
			continue
		}
		if problem = imbalance(r, c); problem == "" {
			return
		}
	}
	t.Fatalf("the counters do not balance: %s", problem)
}

func imbalance(run, platform map[string]float64) string {
	sum := func(values map[string]float64, name string, outcomes ...string) (total float64) {
		for _, outcome := range outcomes {
			total += values[fmt.Sprintf("%s{outcome=%q}", name, outcome)]
		}
		return total
	}
	// Over all the processes that were killed.
	taken := run["edgesync_run_updates_taken_total"]
	ended := sum(run, "edgesync_run_updates_total", "acknowledged", "superseded", "withdrawn", "refused", "damaged")
	lost := sum(run, "edgesync_run_updates_total", "withdrawn", "refused", "damaged")
	if waiting := run["edgesync_run_outbox_updates"]; taken == 0 || taken != ended+waiting || lost != 0 {
		return fmt.Sprintf("the outbox took %v, %v ended (%v of them lost), %v wait", taken, ended, lost, waiting)
	}
	received := platform["edgesync_updates_received_total"]
	if stored := sum(platform, "edgesync_updates_total", "stored", "unchanged", "superseded", "refused", "failed"); received == 0 || received != stored {
		return fmt.Sprintf("the platform received %v, %v came to an end", received, stored)
	}
	// A chunk whose sender is killed fails as a whole and comes again.
	if refused := sum(platform, "edgesync_updates_total", "refused"); refused != 0 {
		return fmt.Sprintf("the platform refused %v updates", refused)
	}
	return ""
}
