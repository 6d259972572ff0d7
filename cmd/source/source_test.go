package source_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/cmdtest"
	"edgesync/cmd/source"
	adminv1 "edgesync/proto/admin/v1"
)

type fake struct {
	adminv1.AdminClient
	refuse  error
	source  *adminv1.Source
	created *adminv1.CreateSourceRequest
	updated *adminv1.UpdateSourceRequest
	removed *adminv1.RemoveSourceRequest
	enabled *adminv1.SetSourceEnabledRequest
}

func (f *fake) CreateSource(_ context.Context, in *adminv1.CreateSourceRequest, _ ...grpc.CallOption) (*adminv1.Source, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.created = in
	return &adminv1.Source{Id: "i", Tenant: in.GetTenant(), Spec: in.GetSpec(), Enabled: !in.GetDisabled(), SyncServiceName: "hq-sync"}, nil
}

func (f *fake) GetSource(context.Context, *adminv1.GetSourceRequest, ...grpc.CallOption) (*adminv1.Source, error) {
	return f.source, nil
}

func (f *fake) ListSources(context.Context, *adminv1.ListSourcesRequest, ...grpc.CallOption) (*adminv1.ListSourcesResponse, error) {
	return &adminv1.ListSourcesResponse{Sources: []*adminv1.Source{f.source}}, nil
}

func (f *fake) UpdateSource(_ context.Context, in *adminv1.UpdateSourceRequest, _ ...grpc.CallOption) (*adminv1.Source, error) {
	f.updated = in
	return &adminv1.Source{Tenant: in.GetTenant(), Spec: in.GetSpec()}, nil
}

func (f *fake) SetSourceEnabled(_ context.Context, in *adminv1.SetSourceEnabledRequest, _ ...grpc.CallOption) (*adminv1.Source, error) {
	f.enabled = in
	changed := proto.CloneOf(f.source)
	changed.Enabled = in.GetEnabled()
	return changed, nil
}

func (f *fake) RemoveSource(_ context.Context, in *adminv1.RemoveSourceRequest, _ ...grpc.CallOption) (*adminv1.RemoveSourceResponse, error) {
	f.removed = in
	return &adminv1.RemoveSourceResponse{}, nil
}

func newFake() *fake {
	return &fake{source: &adminv1.Source{
		Id: "i-1", Tenant: "acme", Enabled: true, UpdatedAt: timestamppb.New(cmdtest.Now), CredentialKeys: []string{"secret_key"},
		Spec: &adminv1.SourceSpec{
			Name: "armis", SourceType: "armis", Endpoint: "https://a", PollInterval: durationpb.New(15 * 60e9),
			NetworkBlacklist: []string{"10.0.0.0/8"}, Settings: map[string]string{"devices": "5", "seed": "1"},
		},
	}}
}

const canary = "canary-3f9d1c"

func TestAddSendsEveryFlag(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(canary+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFake()
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{
		Client: f, Stdin: "from-stdin\n", Env: map[string]string{"TOKEN": "from-env"},
		Args: []string{"source", "add", "hq", "--tenant", "acme", "--type", "armis", "--endpoint", "https://a.example",
			"--service", "edge", "--credential", "secret_key=@" + key, "--credential", "api_key=env:TOKEN", "--credential", "api_token=@-",
			"--query", `corp=in:devices type="a,b"`, "--query", "guest=in:devices", "--partition", "p1",
			"--poll-interval", "15m", "--discovery-interval", "6h", "--sweep-interval", "1h30m", "--page-size", "500",
			"--batch-size", "1000", "--blacklist", "10.0.0.0/8,192.0.2.0/24", "--blacklist", "fd00::/8",
			"--custom-field", "owner", "--setting", "devices=7", "--setting", "url=a=b", "--insecure-skip-verify", "--confidence", "9",
			"--disabled", "--no-input"},
	})
	if got.Exit != 0 {
		t.Fatalf("exit %d: %s", got.Exit, got.Err)
	}
	want := &adminv1.CreateSourceRequest{
		Tenant: "acme", Service: "edge", Disabled: true,
		Credentials: map[string][]byte{"secret_key": []byte(canary), "api_key": []byte("from-env"), "api_token": []byte("from-stdin")},
		Spec: &adminv1.SourceSpec{
			Name: "hq", SourceType: "armis", Endpoint: "https://a.example", Partition: "p1",
			Queries:      []*adminv1.Query{{Label: "corp", Query: `in:devices type="a,b"`}, {Label: "guest", Query: "in:devices"}},
			PollInterval: durationpb.New(15 * 60e9), DiscoveryInterval: durationpb.New(6 * 3600e9), SweepInterval: durationpb.New(90 * 60e9),
			PageSize: 500, BatchSize: 1000, NetworkBlacklist: []string{"10.0.0.0/8", "192.0.2.0/24", "fd00::/8"},
			CustomField: "owner", Settings: map[string]string{"devices": "7", "url": "a=b"}, InsecureSkipVerify: true, Confidence: 9,
		},
	}
	if !proto.Equal(f.created, want) {
		t.Errorf("sent %v\nwant %v", f.created, want)
	}
	if strings.Contains(got.Out+got.Err, canary) {
		t.Errorf("the credential is shown: %q %q", got.Out, got.Err)
	}
}

func TestCredentialsAreNeverTakenFromTheCommandLine(t *testing.T) {
	for _, arg := range []string{"secret_key=" + canary, canary, "=" + canary, canary + "=x", "secret_key=" + canary + "=@f", canary + "=", "secret_key", "api_token="} {
		f := newFake()
		got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{
			"source", "add", "hq", "--tenant", "acme", "--type", "armis", "--endpoint", "https://a", "--credential", arg}})
		if got.Exit != 2 || f.created != nil {
			t.Errorf("--credential %s: exit %d, created %v", arg, got.Exit, f.created)
		}
		if strings.Contains(got.Out+got.Err, canary) {
			t.Errorf("--credential %s is repeated: %q", arg, got.Err)
		}
		if !strings.Contains(got.Err, "--credential") || strings.Count(got.Err, "\n") != 1 {
			t.Errorf("--credential %s: %q", arg, got.Err)
		}
	}
}

func TestCredentialMistakes(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		credentials []string
		exit        int
		says        string
	}{
		{[]string{"secret_key=@/does/not/exist"}, 3, "/does/not/exist"},
		{[]string{"secret_key=env:NOT_SET"}, 2, "not set"},
		{[]string{"secret_key=@" + empty}, 2, "empty"},
		{[]string{"secret_key=@-", "api_key=@-"}, 2, "standard input"},
		{[]string{"secret_key=env:SET", "secret_key=env:SET"}, 2, "twice"},
		{[]string{"secret_key=@-"}, 2, "longer than"},
	} {
		args := []string{"source", "add", "hq", "--tenant", "acme", "--type", "armis", "--endpoint", "https://a"}
		for _, c := range test.credentials {
			args = append(args, "--credential", c)
		}
		got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: newFake(), Args: args,
			Env: map[string]string{"SET": "x"}, Stdin: strings.Repeat("x", 70000)})
		if got.Exit != test.exit || !strings.Contains(got.Err, test.says) {
			t.Errorf("%v: exit %d, %q", test.credentials, got.Exit, got.Err)
		}
	}
}

func TestCredentialIsAskedForWithoutEcho(t *testing.T) {
	f := newFake()
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{
		Client: f, Terminal: &cmdtest.Terminal{Lines: "acme\nnetbox\nhttps://n\n", Secrets: []string{canary}},
		Args: []string{"source", "add", "hq"},
	})
	if got.Exit != 0 || string(f.created.GetCredentials()["api_token"]) != canary {
		t.Fatalf("exit %d, %q, sent %v", got.Exit, got.Err, f.created)
	}
	if f.created.GetTenant() != "acme" || f.created.GetSpec().GetSourceType() != "netbox" || f.created.GetSpec().GetEndpoint() != "https://n" {
		t.Errorf("sent %v", f.created)
	}
	if strings.Contains(got.Out+got.Err, canary) {
		t.Errorf("the credential is shown")
	}
}

func TestAddNamesTheMissingFlag(t *testing.T) {
	full := []string{"--tenant", "acme", "--type", "armis", "--endpoint", "https://a"}
	for i := 0; i < len(full); i += 2 {
		args := append([]string{"source", "add", "hq", "--no-input"}, full[:i]...)
		args = append(args, full[i+2:]...)
		got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: newFake(), Args: args})
		if got.Exit != 2 || !strings.Contains(got.Err, full[i]) {
			t.Errorf("without %s: exit %d, %q", full[i], got.Exit, got.Err)
		}
	}
}

func TestFakerNeedsNoEndpoint(t *testing.T) {
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: newFake(),
		Args: []string{"source", "add", "lab", "--tenant", "acme", "--type", "faker", "--setting", "devices=10", "--no-input"}})
	if got.Exit != 0 {
		t.Errorf("exit %d, %q", got.Exit, got.Err)
	}
}

func TestRefusalIsOneLineWithItsExitCode(t *testing.T) {
	f := newFake()
	f.refuse = status.Error(codes.FailedPrecondition, "add source hq: tenant acme has no sync service: edgesync onboard --tenant acme --name NAME")
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{
		"source", "add", "hq", "--tenant", "acme", "--type", "armis", "--endpoint", "https://a", "-o", "json"}})
	if got.Exit != 6 || got.Out != "" || got.Err != "add source hq: tenant acme has no sync service: edgesync onboard --tenant acme --name NAME\n" {
		t.Errorf("exit %d, %q, %q", got.Exit, got.Out, got.Err)
	}
}

func TestBadFlagValues(t *testing.T) {
	for _, args := range [][]string{
		{"--query", "noequals"}, {"--setting", "noequals"}, {"--poll-interval", "-5m"}, {"--poll-interval", "soon"},
		{"--page-size", "many"}, {"--query", "=x"},
	} {
		got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: newFake(), Args: append([]string{
			"source", "add", "hq", "--tenant", "acme", "--type", "faker"}, args...)})
		if got.Error == nil || !strings.Contains(got.Err, args[0]) {
			t.Errorf("%v: %q", args, got.Err)
		}
	}
}

func TestEditChangesOnlyWhatIsNamed(t *testing.T) {
	f := newFake()
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Env: map[string]string{"NEW": canary}, Args: []string{
		"source", "edit", "armis", "--tenant", "acme", "--endpoint", "https://b", "--poll-interval", "0s", "--blacklist", "",
		"--setting", "seed=", "--setting", "devices=9", "--credential", "secret_key=env:NEW", "--remove-credential", "api_key", "--name", "hq"}})
	if got.Exit != 0 {
		t.Fatalf("exit %d, %q", got.Exit, got.Err)
	}
	want := &adminv1.UpdateSourceRequest{
		Tenant: "acme", Source: "i-1", IfUpdatedAt: timestamppb.New(cmdtest.Now),
		Credentials: map[string][]byte{"secret_key": []byte(canary), "api_key": nil},
		Spec:        &adminv1.SourceSpec{Name: "hq", SourceType: "armis", Endpoint: "https://b", Settings: map[string]string{"devices": "9"}},
	}
	if !proto.Equal(f.updated, want) {
		t.Errorf("sent %v\nwant %v", f.updated, want)
	}
}

func TestEditOfNothingChangesNothing(t *testing.T) {
	f := newFake()
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{"source", "edit", "armis", "--endpoint", "https://a"}})
	if got.Exit != 0 || f.updated != nil {
		t.Errorf("exit %d, sent %v", got.Exit, f.updated)
	}
}

func TestEnableDisableRemove(t *testing.T) {
	f := newFake()
	if got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{"source", "disable", "armis"}}); got.Exit != 0 || f.enabled.GetEnabled() {
		t.Errorf("disable: exit %d, sent %v", got.Exit, f.enabled)
	}
	if got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{"source", "enable", "armis"}}); got.Out != "source armis of tenant acme is enabled\n" {
		t.Errorf("enable printed %q", got.Out)
	}
	if got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{"source", "remove", "armis", "--no-input"}}); got.Exit != 2 || f.removed != nil {
		t.Errorf("remove without --yes: exit %d, %v", got.Exit, f.removed)
	}
	if got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: f, Args: []string{"source", "remove", "armis", "-y"}}); got.Exit != 0 || f.removed.GetSource() != "i-1" {
		t.Errorf("remove: exit %d, %v", got.Exit, f.removed)
	}
}

func TestListDocumentHasTheKeysScriptsReadOnAndNoCredential(t *testing.T) {
	got := cmdtest.Run(t, source.NewCmdSource, cmdtest.Case{Client: newFake(), Args: []string{"source", "list", "-o", "json"}})
	var documents []map[string]any
	if err := json.Unmarshal([]byte(got.Out), &documents); err != nil {
		t.Fatalf("decode %q: %v", got.Out, err)
	}
	for _, key := range []string{"id", "tenant", "name", "source_type", "endpoint", "enabled", "sync_service_id", "last_sync_at",
		"last_sync_result", "last_device_count", "last_error_message", "consecutive_failures", "total_syncs"} {
		if _, ok := documents[0][key]; !ok {
			t.Errorf("no key %s", key)
		}
	}
	if documents[0]["poll_interval"] != "15m" || documents[0]["last_sync_at"] != nil {
		t.Errorf("list is %v", documents[0])
	}
	if _, ok := documents[0]["credentials"]; ok {
		t.Error("the list has credentials")
	}
}
