package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/device"
	"edgesync/core"
	"edgesync/faker"
	"edgesync/proto/payload"
	"edgesync/proto/tracing"
	"edgesync/syncrun"
)

// lines are what a process wrote to its log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) contain(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// armisList is an Armis whose devices a test makes up.
type armisList struct {
	*httptest.Server
	mu      sync.Mutex
	devices []map[string]any
}

func newArmisList(t testing.TB, devices ...map[string]any) *armisList {
	t.Helper()
	a := &armisList{devices: devices}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		data := map[string]any{"access_token": "t", "expiration_utc": time.Now().Add(time.Hour).Format(time.RFC3339)}
		if strings.HasSuffix(r.URL.Path, "/search/") {
			from, _ := strconv.Atoi(r.URL.Query().Get("from"))
			length, _ := strconv.Atoi(r.URL.Query().Get("length"))
			page := a.devices[min(from, len(a.devices)):min(from+length, len(a.devices))]
			if strings.Contains(r.URL.Query().Get("aql"), "type:Nothing") {
				page = nil
			}
			data = map[string]any{"count": len(page), "results": page, "total": len(a.devices), "next": nil}
			if len(page) == 0 {
				data["total"] = 0
			} else if from+len(page) < len(a.devices) {
				data["next"] = from + len(page)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "success": true})
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *armisList) add(device map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.devices = append(a.devices, device)
}

func armisDevice(id int) map[string]any {
	return map[string]any{
		"id": id, "name": fmt.Sprintf("lap-%03d", id), "ipAddress": fmt.Sprintf("10.1.%d.%d", id/250, id%250+1),
		"macAddress": fmt.Sprintf("00:1b:21:00:%02x:%02x", id/256, id%256),
	}
}

func (p *platform) trace(query core.TraceQuery) core.DeviceTrace {
	p.t.Helper()
	query.Tenant, query.Stored = "acme", query.Stored || p.askNobody
	trace, err := p.core.TraceDevice(p.t.Context(), operator, query)
	must(p.t, err)
	return trace
}

// wantTrace traces by the API and by the command, as text and as JSON, and wants
// the verdict, the reason and words of the sentence in each.
func (p *platform) wantTrace(query string, verdict core.Verdict, reason core.TraceReason, stopped core.TraceStage, words ...string) core.DeviceTrace {
	t := p.t
	t.Helper()
	trace := p.trace(core.TraceQuery{Query: query})
	if trace.Verdict != verdict || trace.Reason != reason {
		t.Fatalf("%s is %s (%s): %s\n%+v", query, trace.Verdict, trace.Reason, trace.Summary, trace.Sources)
	}
	for _, word := range words {
		if !strings.Contains(trace.Summary, word) {
			t.Errorf("the summary %q does not say %q", trace.Summary, word)
		}
	}
	if stopped != "" {
		for _, step := range trace.Sources[0].Steps {
			if at := step.Stage == stopped; at != (step.State == core.StepStopped || step.State == core.StepWaiting) {
				t.Errorf("%s: step %s is %s (%s)", reason, step.Stage, step.State, step.Text)
			}
		}
	}
	exit := 3
	if verdict == core.VerdictPresent {
		exit = 0
	}
	client := p.admin()
	run := func(args ...string) cmdtest.Result {
		if p.askNobody {
			args = append(args, "--stored")
		}
		got := cmdtest.Run(t.(*testing.T), device.NewCmdDevice, cmdtest.Case{Client: client, Args: append([]string{"device", "trace", query, "--tenant", "acme"}, args...)})
		if got.Exit != exit {
			t.Errorf("%s: exit %d, want %d: %s", reason, got.Exit, exit, got.Err)
		}
		return got
	}
	text := run()
	for _, want := range append([]string{string(verdict), string(reason), "decision"}, words...) {
		if !strings.Contains(text.Out, want) {
			t.Errorf("the text does not say %q:\n%s", want, text.Out)
		}
	}
	var document struct {
		Verdict, Reason string
		Sources         []struct {
			Reason  string
			TraceID string `json:"trace_id"`
			Steps   []struct{ Stage, State string }
		}
	}
	must(t, json.Unmarshal([]byte(run("-o", "json").Out), &document))
	if document.Verdict != string(verdict) || document.Reason != string(reason) || len(document.Sources) == 0 || len(document.Sources[0].Steps) != 7 {
		t.Errorf("the document is %+v", document)
	}
	return trace
}

// read has a source of the edge be read once by a runtime that goes on.
func (e *edge) reads(source string, edit func(*syncrun.Options)) {
	t := e.p.t
	t.Helper()
	ended := make(chan struct{}, 64)
	e.start(func(o *syncrun.Options) {
		if edit != nil {
			edit(o)
		}
		o.Observe = func(event syncrun.Event) {
			if event.Kind == syncrun.RunEnded && event.Source == source {
				ended <- struct{}{}
			}
		}
	})
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the source was not read")
	}
}

func world(t *testing.T) (*platform, *edge) {
	p := newPlatform(t)
	p.tenant("acme")
	e := p.onboard("acme", "hq")
	return p, e
}

func (p *platform) fakerSource(name, service string, edit func(*core.SourceSpec)) core.SourceView {
	p.t.Helper()
	spec := core.SourceSpec{Name: name, Type: payload.TypeFaker, Settings: map[string]string{"devices": "40"}}
	if edit != nil {
		edit(&spec)
	}
	source, err := p.core.CreateSource(p.t.Context(), operator, core.SourceInput{Tenant: "acme", Service: service, Spec: spec})
	must(p.t, err)
	return source
}

// stored waits until the platform knows how the latest run of a source ended.
func (p *platform) reported(source string) {
	p.t.Helper()
	eventually(p.t, "the report of the run", func() bool {
		view, err := p.core.Source(p.t.Context(), "acme", source)
		must(p.t, err)
		return view.Stats.TotalSyncs > 0
	})
}

func TestTraceFollowsADeviceAllTheWay(t *testing.T) {
	t.Parallel()
	p, e := world(t)
	var devices []map[string]any
	for id := 1; id <= 120; id++ {
		devices = append(devices, armisDevice(id))
	}
	source := p.armisAt("acme", "main", "hq", newArmisList(t, devices...).URL)
	_, err := p.core.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: "main",
		Spec: core.SourceSpec{Name: "main", Type: payload.TypeArmis, Endpoint: source.Endpoint, PageSize: 50}})
	must(t, err)
	e.reads("main", nil)
	p.reported("main")
	trace := p.wantTrace("77", core.VerdictPresent, core.ReasonStored, "")
	if trace.By != core.ByName || len(trace.Devices) != 1 {
		t.Fatalf("the trace is %+v", trace)
	}
	one := trace.Sources[0]
	page, chunk := one.Steps[1], one.Steps[3]
	if page.Page != 2 || page.Place != 27 || chunk.Chunk != 1 || chunk.Chunks != 1 {
		t.Errorf("it is on page %d at %d and in chunk %d of %d", page.Page, page.Place, chunk.Chunk, chunk.Chunks)
	}
	for _, step := range one.Steps {
		if step.State != core.StepPassed {
			t.Errorf("step %s is %s: %s", step.Stage, step.State, step.Text)
		}
	}
	runs, err := p.core.Runs(t.Context(), core.RunQuery{Tenant: "acme", Source: "main", Limit: 1})
	must(t, err)
	if one.RunID != runs[0].ID || one.TraceID != tracing.Text(runs[0].ID) || runs[0].Chunks != 1 || runs[0].StoredAt.IsZero() {
		t.Errorf("the trace is of run %s, %s; the run is %+v", one.RunID, one.TraceID, runs[0])
	}
	id := trace.Devices[0].ID
	for query, by := range map[string]string{
		id: core.ByID, "00-1B-21-00-00-4D": core.ByMAC, "10.1.0.78": core.ByIP, "LAP-077": core.ByName,
	} {
		trace := p.trace(core.TraceQuery{Query: query})
		if trace.By != by || trace.Verdict != core.VerdictPresent || len(trace.Devices) != 1 || trace.Devices[0].ID != id || trace.Sources[0].Steps[1].Place != 27 {
			t.Errorf("%s is looked for by %s: %+v", query, trace.By, trace)
		}
	}
	p.wantTrace("nobody-knows-it", core.VerdictMissing, core.ReasonAbsent, core.StagePage, "120 things")
	if trace := p.trace(core.TraceQuery{Query: "77", Stored: true}); trace.Sources[0].Steps[1].State != core.StepUnknown || trace.Verdict != core.VerdictPresent {
		t.Errorf("without asking it is %+v", trace)
	}
	for _, query := range []core.TraceQuery{{Query: ""}, {Query: "x\x1b[2J"}, {Query: "x", By: "colour"}, {Query: "x", By: core.ByMAC}, {Query: "x", By: core.ByIP}} {
		query.Tenant = "acme"
		_, err := p.core.TraceDevice(t.Context(), operator, query)
		wantCode(t, err, codes.InvalidArgument, "")
	}
	_, err = p.core.TraceDevice(t.Context(), operator, core.TraceQuery{Tenant: "globex", Query: "77"})
	wantCode(t, err, codes.NotFound, "globex")
}

func TestTraceSaysWhyADeviceIsMissing(t *testing.T) {
	t.Parallel()
	t.Run("source down", func(t *testing.T) {
		p, e := world(t)
		down := newArmisList(t)
		p.armisAt("acme", "main", "hq", down.URL)
		down.Close()
		e.reads("main", nil)
		p.wantTrace("77", core.VerdictMissing, core.ReasonSourceDown, core.StageSource, "connect", "refused")
	})
	t.Run("blacklisted", func(t *testing.T) {
		p, e := world(t)
		list := newArmisList(t, armisDevice(1), armisDevice(2))
		_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
			Tenant: "acme", Service: "hq", Credentials: map[string][]byte{payload.CredentialSecretKey: []byte(faker.DemoSecret)},
			Spec: core.SourceSpec{Name: "main", Type: payload.TypeArmis, Endpoint: list.URL, NetworkBlacklist: []string{"10.1.0.3/32"}},
		})
		must(t, err)
		e.reads("main", nil)
		p.wantTrace("lap-002", core.VerdictMissing, core.ReasonBlacklisted, core.StageRun, "10.1.0.3", "network blacklist")
		p.wantTrace("lap-001", core.VerdictPresent, core.ReasonStored, "")
	})
	t.Run("outbox full", func(t *testing.T) {
		p, e := world(t)
		p.fakerSource("lab", "hq", func(s *core.SourceSpec) { s.Settings["devices"] = "2000" })
		e.reads("lab", func(o *syncrun.Options) { o.OutboxMax = 4 << 10 })
		p.reported("lab")
		p.wantTrace("1500", core.VerdictMissing, core.ReasonOutboxFull, core.StageRun, "outbox", "full")
	})
	t.Run("certificate expired", func(t *testing.T) {
		p, e := world(t)
		p.fakerSource("lab", "hq", nil)
		e.hello()
		must(t, e.heartbeat())
		p.clock.pass(31 * 24 * time.Hour)
		if err := e.heartbeat(); err == nil {
			t.Fatal("an expired certificate was let in")
		}
		p.wantTrace("7", core.VerdictMissing, core.ReasonCertificateExpired, core.StageSource, "hq", "expired", "last heard of")
	})
	t.Run("refused by the gateway", func(t *testing.T) {
		p, e := world(t)
		p.fakerSource("lab", "hq", nil)
		// A host whose clock is days ahead of the platform's.
		ahead := func() time.Time { return p.clock.now().Add(3 * 24 * time.Hour) }
		e.reads("lab", func(o *syncrun.Options) { o.Now, o.Source.Now = ahead, ahead })
		trace := p.wantTrace("7", core.VerdictMissing, core.ReasonRefused, core.StageStream, "refused", "chunk 1 of 1", "x-sync-run-started")
		if one := trace.Sources[0]; one.RunID == "" || one.TraceID != tracing.Text(one.RunID) {
			t.Errorf("it is of run %s, trace %s", one.RunID, one.TraceID)
		}
	})
	t.Run("held retraction", func(t *testing.T) {
		p, e := world(t)
		source := p.fakerSource("lab", "hq", func(s *core.SourceSpec) { s.Settings["devices"] = "100" })
		must(t, e.runtime(nil).Run(t.Context()))
		_, err := p.core.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: source.ID.String(),
			Spec: core.SourceSpec{Name: "lab", Type: payload.TypeFaker, Settings: map[string]string{"devices": "40"}}})
		must(t, err)
		must(t, e.runtime(nil).Run(t.Context()))
		e.reads("lab", nil)
		p.wantTrace("90", core.VerdictPresent, core.ReasonHeldRetraction, core.StageDecision, "held with 59 others")
		p.wantTrace("30", core.VerdictPresent, core.ReasonStored, "")
		_, err = p.core.ReleaseRetractions(t.Context(), operator, "acme", "lab")
		must(t, err)
		p.wantTrace("90", core.VerdictRetracted, core.ReasonRetracted, core.StageDecision, "two whole runs", "local:0 released it")
	})
}

func TestTraceSaysWhatElseKeepsADeviceBack(t *testing.T) {
	t.Parallel()
	p, e := world(t)
	source := p.fakerSource("lab", "hq", nil)
	p.wantTrace("7", core.VerdictMissing, core.ReasonServiceOffline, core.StageSource, "never heard of")
	_, err := p.core.SetSourceEnabled(t.Context(), operator, "acme", "lab", false)
	must(t, err)
	p.wantTrace("7", core.VerdictMissing, core.ReasonSourceDisabled, core.StageSource)
	_, err = p.core.SetSourceEnabled(t.Context(), operator, "acme", "lab", true)
	must(t, err)
	e.hello()
	must(t, e.heartbeat())
	p.askNobody = true
	p.wantTrace("7", core.VerdictMissing, core.ReasonNotDue, core.StageRun, "no run")
	report := func(stage, text string) {
		t.Helper()
		p.clock.pass(time.Second)
		now := p.clock.now().UTC()
		must(t, e.heartbeat(payload.Health{Sources: []payload.RunReport{{
			SourceID: source.ID.String(), RunID: "run-" + stage, StartedAt: now, FinishedAt: now, Result: payload.ResultFailed, Error: text, Stage: stage,
		}}}))
	}
	report(payload.StageSuperseded, "a newer run took its place")
	p.wantTrace("7", core.VerdictMissing, core.ReasonSuperseded, core.StageChunk, "a newer run")
	report(payload.StageDamaged, "the file is damaged")
	p.wantTrace("7", core.VerdictMissing, core.ReasonDamaged, core.StageChunk, "damaged")
	report("made up", "who knows\x1b[2J")
	p.wantTrace("7", core.VerdictMissing, core.ReasonSourceDown, core.StageSource, "who knows")

	// What two sources name is one device.
	other := p.fakerSource("cmdb", "hq", nil)
	for _, id := range []string{"a-7", "b-7"} {
		from := source.ID
		if id == "b-7" {
			from = other.ID
		}
		must(t, e.push(stream{source: from, runID: "run of " + id, chunks: [][]payload.Update{{update(from, id, "00:1b:21:00:00:07", "10.0.0.7")}}}))
	}
	trace := p.wantTrace("b-7", core.VerdictPresent, core.ReasonMerged, "", "1 other assertion")
	if len(trace.Devices) != 1 {
		t.Errorf("it is %+v", trace.Devices)
	}
	_, err = p.core.RevokeService(t.Context(), operator, "acme", "hq")
	must(t, err)
	p.wantTrace("unheard-of", core.VerdictMissing, core.ReasonServiceRevoked, core.StageSource)
	_, err = p.core.SuspendTenant(t.Context(), operator, "acme", false)
	must(t, err)
	p.wantTrace("unheard-of", core.VerdictMissing, core.ReasonTenantSuspended, core.StageSource)
}

func TestTraceReadsWhatTheSourceHoldsNow(t *testing.T) {
	t.Parallel()
	p, e := world(t)
	unnamed := armisDevice(2)
	unnamed["id"] = 0
	list := newArmisList(t, armisDevice(1), unnamed)
	p.armisAt("acme", "main", "hq", list.URL)
	_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{
		Tenant: "acme", Service: "hq", Credentials: map[string][]byte{payload.CredentialSecretKey: []byte(faker.DemoSecret)},
		Spec: core.SourceSpec{Name: "narrow", Type: payload.TypeArmis, Endpoint: list.URL, Queries: []core.Query{{Label: "few", Query: "in:devices type:Nothing"}}},
	})
	must(t, err)
	e.reads("main", nil)
	eventually(t, "the first device", func() bool { return p.count("acme") == 1 })
	p.wantTrace("lap-002", core.VerdictMissing, core.ReasonUnnamed, core.StageRun, "without an id")
	hostile := armisDevice(3)
	hostile["name"] = "evil\u202ename\x1b[2J"
	list.add(hostile)
	trace := p.wantTrace("00:1b:21:00:00:03", core.VerdictMissing, core.ReasonFiltered, "", "none of the source's queries")
	for _, one := range trace.Sources {
		if one.Source.Name == "main" && one.Reason != core.ReasonNotDue {
			t.Errorf("main says %s: %s", one.Reason, one.Summary)
		}
		if strings.ContainsAny(one.Summary, "\x1b\u202e") {
			t.Errorf("%q goes out as it came", one.Summary)
		}
	}
	events, err := p.core.Events(t.Context(), core.EventQuery{Tenant: "acme", TypePrefix: "source.traced"})
	must(t, err)
	if len(events) == 0 || events[0].Actor.Name == "" {
		t.Error("nobody is known to have had a source read")
	}
}
