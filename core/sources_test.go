package core_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"edgesync/core"
	"edgesync/proto/payload"
)

func TestSourceNeedsASyncService(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	create := func(service string) error {
		_, err := w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: armis("a"), Service: service, Credentials: armisKey})
		return err
	}
	err := create("")
	wantCode(t, err, codes.FailedPrecondition)
	if !strings.Contains(err.Error(), "edgesync onboard --tenant acme --name NAME") {
		t.Errorf("error %q does not say how to get one", err)
	}
	// The platform's own counts once it has said Hello.
	wantCode(t, create(core.PlatformSyncName), codes.FailedPrecondition)
	w.platformSync()
	if err := create(""); err != nil {
		t.Fatal(err)
	}
	// Of several one must be named.
	w.onboard("acme", "hq")
	_, err = w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: armis("b"), Credentials: armisKey})
	wantCode(t, err, codes.InvalidArgument)
	if !strings.Contains(err.Error(), "hq") || !strings.Contains(err.Error(), core.PlatformSyncName) {
		t.Errorf("error %q does not list them", err)
	}
	wantCode(t, create("nobody"), codes.NotFound)
	if _, err := w.RevokeService(t.Context(), operator, "acme", "hq"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, create("hq"), codes.FailedPrecondition)
}

func TestPlatformSyncCanBeWithheld(t *testing.T) {
	w := bootstrapped(t)
	w.platformSync()
	if _, err := w.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "acme", NoPlatformSync: true}); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"", core.PlatformSyncName} {
		_, err := w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: armis("a"), Service: service, Credentials: armisKey})
		if err == nil {
			t.Errorf("a source was given to %q", service)
		}
	}
	if found, err := w.Services(t.Context(), "acme", true); err != nil || len(found) != 0 {
		t.Errorf("available: %v, %v", found, err)
	}
}

func TestAnotherTenantsServiceIsLikeNone(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.tenant("umbrella")
	w.onboard("acme", "hq")
	w.onboard("umbrella", "lab")
	id := w.service("acme", "hq").ID.String()
	source := w.source("acme", "armis", "hq")
	text := func(_ any, err error) string {
		wantCode(t, err, codes.NotFound)
		return err.Error()
	}
	absent := "123e4567-e89b-42d3-a456-426614174000"
	for name, pair := range map[string][2]string{
		"assign":  {text(w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "umbrella", Spec: armis("a"), Service: id, Credentials: armisKey})), text(w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "umbrella", Spec: armis("a"), Service: absent, Credentials: armisKey}))},
		"service": {text(w.Service(t.Context(), "umbrella", id)), text(w.Service(t.Context(), "umbrella", absent))},
		"source":  {text(w.Source(t.Context(), "umbrella", source.ID.String())), text(w.Source(t.Context(), "umbrella", absent))},
	} {
		other := strings.NewReplacer(id, absent, source.ID.String(), absent).Replace(pair[0])
		if other != pair[1] {
			t.Errorf("%s: %q differs from %q", name, pair[0], pair[1])
		}
	}
}

func TestSourceSpecIsValidated(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	type change func(*core.SourceInput)
	spec := func(f func(*core.SourceSpec)) change { return func(in *core.SourceInput) { f(&in.Spec) } }
	for name, test := range map[string]change{
		"no name":             spec(func(s *core.SourceSpec) { s.Name = "" }),
		"name controls":       spec(func(s *core.SourceSpec) { s.Name = "a\nb" }),
		"name spaces":         spec(func(s *core.SourceSpec) { s.Name = " a" }),
		"name utf-8":          spec(func(s *core.SourceSpec) { s.Name = "a\xff" }),
		"type":                spec(func(s *core.SourceSpec) { s.Type = "nmap" }),
		"no endpoint":         spec(func(s *core.SourceSpec) { s.Endpoint = "" }),
		"endpoint scheme":     spec(func(s *core.SourceSpec) { s.Endpoint = "ftp://x" }),
		"endpoint relative":   spec(func(s *core.SourceSpec) { s.Endpoint = "armis.example.com" }),
		"endpoint host":       spec(func(s *core.SourceSpec) { s.Endpoint = "https://" }),
		"endpoint host port":  spec(func(s *core.SourceSpec) { s.Endpoint = "https://:443" }),
		"endpoint port":       spec(func(s *core.SourceSpec) { s.Endpoint = "https://x:99999" }),
		"endpoint userinfo":   spec(func(s *core.SourceSpec) { s.Endpoint = "https://u:canary-secret@x" }),
		"endpoint query":      spec(func(s *core.SourceSpec) { s.Endpoint = "https://x/?a=b" }),
		"endpoint controls":   spec(func(s *core.SourceSpec) { s.Endpoint = "https://x/\x1b" }),
		"partition":           spec(func(s *core.SourceSpec) { s.Partition = "a b" }),
		"poll interval":       spec(func(s *core.SourceSpec) { s.PollInterval = 999 * time.Millisecond }),
		"discovery interval":  spec(func(s *core.SourceSpec) { s.DiscoveryInterval = -time.Second }),
		"sweep interval":      spec(func(s *core.SourceSpec) { s.SweepInterval = 10_000 * time.Hour }),
		"page size":           spec(func(s *core.SourceSpec) { s.PageSize = -1 }),
		"page size too large": spec(func(s *core.SourceSpec) { s.PageSize = 10_001 }),
		"batch size":          spec(func(s *core.SourceSpec) { s.BatchSize = 5_001 }),
		"confidence":          spec(func(s *core.SourceSpec) { s.Confidence = 11 }),
		"blacklist":           spec(func(s *core.SourceSpec) { s.NetworkBlacklist = []string{"10.0.0.0/33"} }),
		"blacklist address":   spec(func(s *core.SourceSpec) { s.NetworkBlacklist = []string{"10.0.0.1"} }),
		"query label":         spec(func(s *core.SourceSpec) { s.Queries = []core.Query{{Query: "in:devices"}} }),
		"query empty":         spec(func(s *core.SourceSpec) { s.Queries = []core.Query{{Label: "a"}} }),
		"query twice":         spec(func(s *core.SourceSpec) { s.Queries = []core.Query{{Label: "a", Query: "x"}, {Label: "a", Query: "y"}} }),
		"query controls":      spec(func(s *core.SourceSpec) { s.Queries = []core.Query{{Label: "a", Query: "x\ny"}} }),
		"sweep mode": spec(func(s *core.SourceSpec) {
			s.Queries = []core.Query{{Label: "a", Query: "x", SweepModes: []string{"T C P"}}}
		}),
		"setting name":     spec(func(s *core.SourceSpec) { s.Settings = map[string]string{"A B": "x"} }),
		"setting value":    spec(func(s *core.SourceSpec) { s.Settings = map[string]string{"a": "\x00"} }),
		"custom field":     spec(func(s *core.SourceSpec) { s.CustomField = "\r" }),
		"no credential":    func(in *core.SourceInput) { in.Credentials = nil },
		"empty credential": func(in *core.SourceInput) { in.Credentials = map[string][]byte{payload.CredentialSecretKey: nil} },
		"credential of netbox": func(in *core.SourceInput) {
			in.Credentials = map[string][]byte{payload.CredentialAPIToken: []byte("canary-secret")}
		},
		"credential controls": func(in *core.SourceInput) {
			in.Credentials = map[string][]byte{payload.CredentialSecretKey: []byte("canary-secret\n")}
		},
		"credential too long": func(in *core.SourceInput) {
			in.Credentials = map[string][]byte{payload.CredentialSecretKey: bytes.Repeat([]byte("canary-secret"), 10_000)}
		},
		"faker with credential": func(in *core.SourceInput) { in.Spec = core.SourceSpec{Name: "f", Type: payload.TypeFaker} },
	} {
		t.Run(name, func(t *testing.T) {
			in := core.SourceInput{Tenant: "acme", Spec: armis("a"), Credentials: armisKey}
			test(&in)
			_, err := w.CreateSource(t.Context(), operator, in)
			wantCode(t, err, codes.InvalidArgument)
			if strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\x1b\n\r\x00") {
				t.Errorf("error %q tells too much", err)
			}
		})
	}
	if sources, err := w.Sources(t.Context(), "acme", ""); err != nil || len(sources) != 0 {
		t.Errorf("sources after refusals: %v, %v", sources, err)
	}
}

func TestSourceIsCompletedAndSpelledOneWay(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	spec := armis("a")
	spec.Endpoint += "/"
	spec.NetworkBlacklist = []string{"10.1.2.3/8", "2001:db8::1/32", "10.0.0.0/8"}
	got, err := w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: spec, Credentials: armisKey, Disabled: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.Endpoint != "https://armis.example.com" || got.Partition != "default" || got.Confidence != 7 || got.Enabled ||
		fmt.Sprint(got.NetworkBlacklist) != "[10.0.0.0/8 2001:db8::/32]" || got.ServiceName != "hq" || fmt.Sprint(got.CredentialKeys) != "[secret_key]" {
		t.Errorf("source is %+v", got)
	}
	faker, err := w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: core.SourceSpec{Name: "f", Type: payload.TypeFaker}})
	if err != nil || faker.Endpoint != "" {
		t.Errorf("faker source: %+v, %v", faker, err)
	}
	_, err = w.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Spec: armis("a"), Credentials: armisKey})
	wantCode(t, err, codes.AlreadyExists)
}

func TestSourceLifecycleLeavesEvents(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	source := w.source("acme", "armis", "")
	spec := armis("renamed")
	spec.PollInterval = time.Minute
	steps := []func() error{
		func() error {
			_, err := w.UpdateSource(t.Context(), operator, core.SourceUpdate{Tenant: "acme", Source: "armis", Spec: spec})
			return err
		},
		func() error {
			_, err := w.SetSourceEnabled(t.Context(), operator, "acme", "renamed", false)
			return err
		},
		func() error {
			_, err := w.SetSourceEnabled(t.Context(), operator, "acme", "renamed", false)
			return err
		},
		func() error { _, err := w.SetSourceEnabled(t.Context(), operator, "acme", "renamed", true); return err },
		func() error { return w.RemoveSource(t.Context(), operator, "acme", source.ID.String()) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	var kinds []string
	for _, e := range w.events("acme", "source.") {
		kinds = append(kinds, e.Type)
		if e.Tenant.Slug != "acme" || e.Actor != operator || e.SourceID != source.ID {
			t.Errorf("event %+v does not say who did what to which", e)
		}
	}
	if want := "[source.created source.updated source.disabled source.enabled source.removed]"; fmt.Sprint(kinds) != want {
		t.Errorf("events are %v, want %s", kinds, want)
	}
	wantCode(t, w.RemoveSource(t.Context(), operator, "acme", "renamed"), codes.NotFound)
}

func TestUpdateSource(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	w.onboard("acme", "hq")
	w.onboard("acme", "branch")
	source := w.source("acme", "armis", "hq")
	w.source("acme", "other", "hq")
	update := func(change func(*core.SourceUpdate)) (core.SourceView, error) {
		in := core.SourceUpdate{Tenant: "acme", Source: "armis", Spec: armis("armis")}
		change(&in)
		return w.UpdateSource(t.Context(), operator, in)
	}
	got, err := update(func(*core.SourceUpdate) {})
	if err != nil || !got.UpdatedAt.Equal(source.UpdatedAt) {
		t.Errorf("an update that changes nothing: %+v, %v", got, err)
	}
	got, err = update(func(in *core.SourceUpdate) { in.Service = "branch" })
	if err != nil || got.ServiceName != "branch" || !got.UpdatedAt.After(source.UpdatedAt) {
		t.Errorf("given to another service: %+v, %v", got, err)
	}
	_, err = update(func(in *core.SourceUpdate) { in.IfUpdatedAt = source.UpdatedAt; in.Spec.CustomField = "x" })
	wantCode(t, err, codes.Aborted)
	_, err = update(func(in *core.SourceUpdate) { in.IfUpdatedAt = got.UpdatedAt; in.Spec.CustomField = "x" })
	if err != nil {
		t.Error(err)
	}
	_, err = update(func(in *core.SourceUpdate) { in.Spec.Name = "other" })
	wantCode(t, err, codes.AlreadyExists)
	_, err = update(func(in *core.SourceUpdate) { in.Spec.Type = payload.TypeNetBox })
	wantCode(t, err, codes.InvalidArgument)
	_, err = update(func(in *core.SourceUpdate) { in.Source = "nobody" })
	wantCode(t, err, codes.NotFound)
	_, err = update(func(in *core.SourceUpdate) { in.Credentials = map[string][]byte{payload.CredentialSecretKey: nil} })
	wantCode(t, err, codes.InvalidArgument)
	got, err = update(func(in *core.SourceUpdate) {
		in.Credentials = map[string][]byte{payload.CredentialSecretKey: nil, payload.CredentialAPIKey: []byte("canary-2")}
	})
	if err != nil || fmt.Sprint(got.CredentialKeys) != "[api_key]" {
		t.Errorf("credentials replaced: %+v, %v", got, err)
	}
}

func TestCredentialsAreSealedForTheirSourceOnly(t *testing.T) {
	w := bootstrapped(t)
	acme := w.tenant("acme")
	peer := w.onboard("acme", "hq")
	w.hello(peer)
	one, two := w.source("acme", "one", "hq"), w.source("acme", "two", "hq")
	for _, view := range []core.SourceView{one, two} {
		if view.Credentials != nil {
			t.Error("a view of a source holds credentials")
		}
	}
	store, err := w.store.Tenant(t.Context(), acme.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The ciphertext of one source moved to the other opens nowhere.
	err = store.Update(t.Context(), func(tx core.TenantTx) error {
		from, err := tx.Source(t.Context(), one.ID)
		if err != nil {
			return err
		}
		if bytes.Contains(from.Credentials[payload.CredentialSecretKey], []byte("canary")) {
			t.Error("a credential is stored in clear")
		}
		to, err := tx.Source(t.Context(), two.ID)
		if err != nil {
			return err
		}
		to.Credentials = from.Credentials
		return tx.PutSource(t.Context(), to)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.reopen()
	_, config := w.config(peer, "")
	if len(config.Sources) != 1 || config.Sources["one"].Credentials[payload.CredentialSecretKey] != "canary-secret" {
		t.Errorf("configuration after the move: %+v", config)
	}
}

func TestCreateSourceInParallelKeepsTheIndexTrue(t *testing.T) {
	w := bootstrapped(t)
	w.tenant("acme")
	peer := w.platformSync()
	done := make(chan error)
	const n = 6
	for i := range n {
		go func() {
			_, err := w.CreateSource(background, operator, core.SourceInput{Tenant: "acme", Spec: armis(fmt.Sprint("s", i)), Credentials: armisKey})
			if err == nil && i%2 == 0 {
				err = w.RemoveSource(background, operator, "acme", fmt.Sprint("s", i))
			}
			done <- err
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, config := w.config(peer, ""); len(config.Sources) != n/2 {
		t.Errorf("%d sources are configured", len(config.Sources))
	}
	if s := w.service("platform", core.PlatformSyncName); s.Sources != n/2 {
		t.Errorf("%d sources are counted", s.Sources)
	}
}

func TestInternalErrorsAreNotTold(t *testing.T) {
	w := bootstrapped(t)
	broken, err := w.open(&failing{w.store, 0})
	if err != nil {
		t.Fatal(err)
	}
	_, err = broken.CreateTenant(t.Context(), operator, core.TenantInput{Slug: "acme"})
	var told *core.Error
	if errors.As(err, &told) || !errors.Is(err, errFault) {
		t.Errorf("a fault of the store is told as %v", err)
	}
}
