//go:build linux

package cmd_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "modernc.org/sqlite"

	"edgesync/admin"
	"edgesync/cmd/state"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
	wire "edgesync/proto/monitoring"
	"edgesync/proto/payload"
	"edgesync/tui"
	following "edgesync/tui/live"
)

// million is a platform of a million devices that is served by a process of its
// own, with an edge sync service whose sources fail and recover all the time.
type million struct {
	b    testing.TB
	dir  string
	self string
	env  []string
}

const (
	millionDevices = 1_000_000
	// busySources each fail or recover with every heartbeat, one event each, and
	// beats is how often that is: a thousand events a second.
	busySources = 500
	beats       = 500 * time.Millisecond
)

func newMillion(b testing.TB, devices int) *million {
	self, err := os.Executable()
	check(b, err)
	// The path of the socket in it must be short.
	dir, err := os.MkdirTemp("", "million")
	check(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &million{b: b, dir: dir, self: filepath.Join(dir, "edgesync")}
	check(b, os.Symlink(self, m.self))
	m.env = append(os.Environ(), "EDGESYNC_STATE_DIR="+m.state(), "HOME="+dir, "TERM=xterm-256color", "EDGESYNC_CONFIG="+os.DevNull, "GORACE=atexit_sleep_ms=20")
	gateway, err := freeAddr()
	check(b, err)
	m.do("bootstrap", "--gateway-addr", gateway)
	m.do("tenant", "create", "acme")
	m.do("onboard", "--tenant", "acme", "--name", "HQ", "--out", dir, "--no-input")
	check(b, exec.Command("tar", "-xzf", filepath.Join(dir, "edge-package-hq.tar.gz"), "-C", dir).Run())
	m.fill(devices)
	m.serve("serve", "--listen", gateway, "--ca-listen", "", "--metrics-listen", "")
	return m
}

func check(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (m *million) state() string { return filepath.Join(m.dir, "state") }

func (m *million) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.self, args...)
	cmd.Env, cmd.Dir = m.env, m.dir
	return cmd
}

func (m *million) do(args ...string) []byte {
	m.b.Helper()
	cmd := m.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		m.b.Fatalf("edgesync %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func (m *million) serve(args ...string) {
	cmd := m.command(args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	check(m.b, cmd.Start())
	m.b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			m.b.Errorf("serve: %v: %s", err, log.String())
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		if conn, err := net.Dial("unix", state.Socket(m.state())); err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			m.b.Fatalf("it is not served: %s", log.String())
		}
		time.Sleep(5 * time.Millisecond) // Between two looks.
	}
}

// fill writes devices as an ingestion leaves them, but all at once: what
// is measured here is reading.
func (m *million) fill(devices int) {
	b := m.b
	var tenants []struct{ ID, Slug string }
	check(b, json.Unmarshal(m.do("tenant", "list", "-o", "json"), &tenants))
	i := slices.IndexFunc(tenants, func(t struct{ ID, Slug string }) bool { return t.Slug == "acme" })
	db, err := sql.Open("sqlite", "file:"+filepath.Join(m.state(), "tenants", tenants[i].ID+".db")+"?mode=rw")
	check(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		`INSERT INTO name (id, value) VALUES (1, 'default'), (2, 'source')`,
		`CREATE TEMP TABLE thing AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(devices) + `)
			SELECT i, printf('sr:%08x-%04x-8%03x-a%03x-%012x', (i * 2654435761) % 4294967296, i % 65536, i % 4096, (i / 7) % 4096, i * 7919) AS id,
				printf('10.%d.%d.%d', i / 65536, (i / 256) % 256, i % 256) AS ip,
				printf('00:14:22:%02x:%02x:%02x', i / 65536, (i / 256) % 256, i % 256) AS mac,
				printf('%s-%s-a%06d', substr('srvwebfwlwapmacrtrscndbswks', 1 + 3 * (i % 9), 3), substr('tordubmadpraoslhelchi', 1 + 3 * ((i / 9) % 7), 3), i) AS host
			FROM n`,
		`INSERT INTO assertion (id, source, partition, device, home, hash, key)
			SELECT i, 2, 1, i, unhex(substr(id, 4), '-'), zeroblob(32), 'k' || i FROM thing`,
		// 16 assertions a row, all seen at once by the first chunk of a run.
		`INSERT INTO sighting (block, body)
			SELECT DISTINCT i >> 4, unhex(replace(hex(zeroblob(16)), '00', printf('%016x%016x01', 1, 1)) || printf('%016x%016x%016x%08x', 2, 1, 1, 3) || hex('run')) FROM thing`,
		`INSERT INTO fact (assertion, first_seen, changed, identifiers, facts) SELECT i, 1, 1, '', '{}' FROM thing`,
		`INSERT INTO device (id, partition, retracted, ip, mac, hostname, ips, macs, serial_number, manufacturer, model, os, device_type, site, tags, available, sources, first_seen)
			SELECT i, 1, 0, ip, mac, host, json_array(ip), json_array(mac), '', 'Dell', 'R650', 'Linux', 'Server', 'Toronto', '[]', 1, '["source"]', 1 FROM thing`,
		`INSERT INTO device_text (id, text) SELECT i, id || char(10) || host || char(10) || ip || char(10) || mac || char(10) FROM thing`,
		`DROP TABLE thing`,
	} {
		_, err := db.ExecContext(b.Context(), statement)
		check(b, err)
	}
}

// disturb has a thousand events a second recorded until the benchmark ends, and
// returns what counts them.
func (m *million) disturb() *atomic.Int64 {
	b := m.b
	client, err := admin.Dial(state.Socket(m.state()))
	check(b, err)
	defer client.Close()
	var ids []string
	for i := range busySources {
		source, err := client.CreateSource(b.Context(), &adminv1.CreateSourceRequest{
			Tenant: "acme", Service: "HQ", Spec: &adminv1.SourceSpec{Name: fmt.Sprintf("lab-%03d", i), SourceType: payload.TypeFaker},
		})
		check(b, err)
		ids = append(ids, source.GetId())
	}
	config, err := onboarding.LoadConfig(filepath.Join(m.dir, "edge-package-hq", "config", "sync.json"))
	check(b, err)
	transport, err := config.ClientTLS()
	check(b, err)
	conn, err := grpc.NewClient("passthrough:///"+config.GatewayAddr, grpc.WithTransportCredentials(credentials.NewTLS(transport)))
	check(b, err)
	gateway := wire.NewAgentGatewayServiceClient(conn)
	_, err = gateway.Hello(b.Context(), &wire.AgentHelloRequest{AgentId: config.AgentID, Version: "bench"})
	check(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	recorded := &atomic.Int64{}
	beating.Go(func() {
		ticks := time.NewTicker(beats)
		defer ticks.Stop()
		for n := 0; ; n++ {
			if _, err := gateway.PushStatus(ctx, heartbeat(config.AgentID, ids, n)); err != nil && ctx.Err() == nil {
				b.Errorf("heartbeat: %v", err)
				return
			}
			recorded.Add(int64(len(ids)))
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
		}
	})
	b.Cleanup(func() {
		cancel()
		beating.Wait()
		_ = conn.Close()
	})
	return recorded
}

// heartbeat tells that all sources failed, or the next time that all are well.
func heartbeat(agent string, ids []string, n int) *wire.GatewayStatusRequest {
	request := &wire.GatewayStatusRequest{AgentId: agent}
	now := time.Now().UTC()
	for part := range slices.Chunk(ids, 8) {
		health := payload.Health{}
		for _, id := range part {
			report := payload.RunReport{SourceID: id, RunID: fmt.Sprintf("run-%d", n), StartedAt: now, FinishedAt: now, Result: payload.ResultSuccess}
			if n%2 == 0 {
				report.Result, report.Error = payload.ResultFailed, "status 502"
			}
			health.Sources = append(health.Sources, report)
		}
		message, _ := json.Marshal(health) // Plain values encode.
		request.Services = append(request.Services, &wire.GatewayServiceStatus{ServiceName: "sync", ServiceType: "sync", Source: "status", Available: true, Message: message})
	}
	return request
}

// TestMeasuredPlatformIsOne keeps what the benchmarks fill in step with the store.
func TestMeasuredPlatformIsOne(t *testing.T) {
	m := newMillion(t, 60)
	if found := m.do("device", "list", "--tenant", "acme", "--search", "a000042", "-o", "json"); !bytes.Contains(found, []byte("-a000042")) {
		t.Errorf("the search finds %s", found)
	}
	var found []struct{ ID string }
	check(t, json.Unmarshal(m.do("device", "list", "--tenant", "acme", "-o", "json"), &found))
	if len(found) != 60 {
		t.Fatalf("it has %d devices", len(found))
	}
	m.do("device", "show", found[0].ID, "--tenant", "acme", "--why")
}

// openPTY is a terminal of 120 × 40.
func openPTY(b testing.TB) (host, self *os.File) {
	host, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		b.Skip("there are no terminals here: ", err)
	}
	raw, err := host.SyscallConn()
	check(b, err)
	var peer uintptr
	check(b, raw.Control(func(fd uintptr) {
		err = errors.Join(unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}))
		var errno unix.Errno
		if peer, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY); errno != 0 {
			err = errors.Join(err, errno)
		}
	}))
	check(b, err)
	return host, os.NewFile(peer, "terminal")
}

// probe is the interface, watched: it knows which key the frame it drew last is
// of.
type probe struct {
	tea.Model
	pressed, drawn atomic.Int64
	frame          atomic.Pointer[string]
}

func (p *probe) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	_, cmd := p.Model.Update(msg)
	if _, ok := msg.(tea.KeyPressMsg); ok {
		p.pressed.Add(1)
	}
	return p, cmd
}

func (p *probe) View() tea.View {
	n := p.pressed.Load()
	view := p.Model.View()
	p.frame.Store(&view.Content)
	p.drawn.Store(n)
	return view
}

// screenWriter tells of what is written to the terminal, and what of.
type screenWriter struct {
	*os.File
	probe *probe
	wrote chan int64
}

func (w *screenWriter) Write(text []byte) (int, error) {
	drawn := w.probe.drawn.Load()
	n, err := w.File.Write(text)
	select {
	case w.wrote <- drawn:
	default: // Nobody presses keys now.
	}
	return n, err
}

// lateness measures how much later than asked the machine lets something go on,
// whatever it is: where that is much, other work is measured and not this. What
// is returned ends it, and is the 99th of 100.
func lateness(ctx context.Context) func() time.Duration {
	const nap = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(ctx)
	var took []time.Duration
	var napping sync.WaitGroup
	napping.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			time.Sleep(nap)
			took = append(took, time.Since(began)-nap)
		}
	})
	return func() time.Duration {
		cancel()
		napping.Wait()
		slices.Sort(took)
		return took[len(took)*99/100]
	}
}

// BenchmarkKeyToRedraw types into the search of a million devices at a real
// terminal, over the admin socket of a platform served by another process that
// records a thousand events a second, and takes the time from the key's byte to
// the frame with it being written. The limit is 16 ms for 99 of 100 keys, on a
// machine that is not late itself. It also takes how long after the last key of a word its devices are drawn.
func BenchmarkKeyToRedraw(b *testing.B) {
	const limit = 16 * time.Millisecond
	m := newMillion(b, millionDevices)
	recorded := m.disturb()
	client, err := admin.Dial(state.Socket(m.state()), admin.WithOrigin("tui"))
	check(b, err)
	defer client.Close()
	host, self := openPTY(b)
	go func() { // The terminal's other end shows what comes.
		buffer := make([]byte, 1<<16)
		for {
			if _, err := host.Read(buffer); err != nil {
				return
			}
		}
	}()
	defer host.Close()
	ctx, cancel := context.WithCancel(b.Context())
	feed := following.NewFeed(client, "", time.Now)
	p := &probe{Model: tui.New(ctx, tui.Options{Client: client}, feed)}
	out := &screenWriter{self, p, make(chan int64, 64)}
	program := tea.NewProgram(p, tea.WithContext(ctx), tea.WithInput(self), tea.WithOutput(out), tea.WithFPS(tui.FramesPerSecond),
		tea.WithEnvironment([]string{"TERM=xterm-256color"}), tea.WithoutSignalHandler())
	var running sync.WaitGroup
	running.Go(func() { feed.Run(ctx) })
	running.Go(func() { _, _ = program.Run() })
	defer running.Wait()
	defer cancel()

	press := func(key string) time.Duration {
		want := p.pressed.Load() + 1
		began := time.Now()
		_, err := host.WriteString(key)
		check(b, err)
		for {
			select {
			case drawn := <-out.wrote:
				if drawn >= want {
					return time.Since(began)
				}
			case <-time.After(10 * time.Second):
				b.Fatalf("key %q is not drawn:\n%s", key, *p.frame.Load())
			}
		}
	}
	see := func(text, without string) time.Duration {
		began := time.Now()
		for {
			frame := ansi.Strip(*p.frame.Load())
			if strings.Contains(frame, text) && (without == "" || !strings.Contains(frame, without)) {
				break
			}
			if time.Since(began) > 20*time.Second {
				b.Fatalf("%q is not drawn:\n%s", text, *p.frame.Load())
			}
			time.Sleep(time.Millisecond) // Between two looks.
		}
		return time.Since(began)
	}
	for p.frame.Load() == nil || !strings.Contains(*p.frame.Load(), "live") {
		time.Sleep(time.Millisecond) // Between two looks.
	}
	press("4")
	see("1,000,000 devices", "")
	press("/")
	late := lateness(ctx)
	from, start := recorded.Load(), time.Now()
	var keys, found []time.Duration
	for i := range max(b.N, 24) {
		word := fmt.Sprintf("a%06d", (i*7919+7919)%millionDevices)
		for _, letter := range word {
			keys = append(keys, press(string(letter)))
			time.Sleep(30 * time.Millisecond) // Nobody types faster.
		}
		found = append(found, see("-"+word, ""))
		keys = append(keys, press("\x15")) // Ctrl-U.
		see("1,000,000 devices", "-"+word) // A list of one has nowhere to go down to.
		for range 5 {
			keys = append(keys, press("\x1b[B")) // Down.
		}
	}
	rate := float64(recorded.Load()-from) / time.Since(start).Seconds()
	slices.Sort(keys)
	slices.Sort(found)
	p99 := keys[len(keys)*99/100]
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(p99), "p99-ms")
	b.ReportMetric(ms(keys[len(keys)/2]), "p50-ms")
	b.ReportMetric(ms(keys[len(keys)-1]), "worst-ms")
	b.ReportMetric(float64(p99)/float64(limit), "p99/limit")
	b.ReportMetric(ms(found[len(found)*9/10]), "found-p90-ms")
	b.ReportMetric(ms(late()), "machine-late-p99-ms")
	b.ReportMetric(rate, "events/s")
	b.ReportMetric(float64(len(keys)), "keys")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStart runs the program itself and takes the time from the start of its
// process to the first frame that has all the platform told. The limit is 150 ms.
func BenchmarkStart(b *testing.B) {
	const limit = 150 * time.Millisecond
	m := newMillion(b, millionDevices)
	var took []time.Duration
	for range max(b.N, 12) {
		host, self := openPTY(b)
		cmd := m.command("tui")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = self, self, self
		began := time.Now()
		check(b, cmd.Start())
		var drawn bytes.Buffer
		buffer := make([]byte, 1<<16)
		for !bytes.Contains(drawn.Bytes(), []byte("1,000,000")) {
			n, err := host.Read(buffer)
			check(b, err)
			drawn.Write(buffer[:n])
		}
		took = append(took, time.Since(began))
		_, err := host.WriteString("q")
		check(b, err)
		go func() {
			for {
				if _, err := host.Read(buffer); err != nil {
					return
				}
			}
		}()
		check(b, cmd.Wait())
		check(b, errors.Join(self.Close(), host.Close()))
	}
	first := took[0]
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "first-frame-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "worst-ms")
	b.ReportMetric(float64(first.Microseconds())/1000, "after-serve-ms")
	b.ReportMetric(float64(took[len(took)/2])/float64(limit), "of-limit")
	b.ReportMetric(0, "ns/op")
}
