package integrations

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/proto/payload"
	"edgesync/tui/commands"
	"edgesync/tui/services"
	"edgesync/tui/ui"
)

// form adds a source, or with a before changes one.
type form struct {
	env    *ui.Env
	before *adminv1.Source
	all    []*ui.Field
	form   *ui.Form
	busy   bool
	err    string
}

type savedMsg struct {
	form   *form
	source *adminv1.Source
	err    error
}

// NewSource is the form of a new source. The tenant and the id of the service
// may be chosen beforehand.
func NewSource(env *ui.Env, tenant, service string) ui.Dialog {
	f := &form{env: env}
	var tenants []ui.Option
	for _, one := range env.Live.Customers() {
		slug := one.GetTenant().GetSlug()
		if len(env.Live.Available(slug)) > 0 {
			tenants = append(tenants, ui.Option{Value: slug, Label: slug, Note: one.GetTenant().GetName()})
		}
	}
	f.fields(&adminv1.SourceSpec{SourceType: payload.TypeArmis, Partition: "default"}, ui.Choose("tenant", "Tenant", tenant, "Whose devices it brings.", tenants))
	f.arrange()
	if service != "" {
		f.form.Field("service").Set(service)
	}
	return f
}

func newEdit(env *ui.Env, source *adminv1.Source) ui.Dialog {
	f := &form{env: env, before: source}
	f.fields(source.GetSpec(), nil)
	f.arrange()
	f.form.Field("service").Set(source.GetSyncServiceId())
	return f
}

func (f *form) fields(spec *adminv1.SourceSpec, tenant *ui.Field) {
	if tenant != nil {
		f.all = append(f.all, tenant)
	}
	f.all = append(f.all, ui.Text("name", "Name", spec.GetName(), "What it is called, such as hq-armis."))
	if f.before == nil {
		f.all = append(f.all, ui.Choose("type", "Type", spec.GetSourceType(), "← and → choose.", []ui.Option{
			{Value: payload.TypeArmis, Label: "Armis"}, {Value: payload.TypeNetBox, Label: "NetBox"},
			{Value: payload.TypeFaker, Label: "faker", Note: "invented devices, to try things out"},
		}))
	}
	verify := "yes"
	if spec.GetInsecureSkipVerify() {
		verify = "no"
	}
	f.all = append(f.all,
		ui.Choose("service", "Sync service", "", "The one that reads it. An edge service reaches its own network; the platform's only public addresses.", nil),
		ui.Text("endpoint", "Endpoint", spec.GetEndpoint(), "Base URL of its API, such as https://acme.armis.com."),
		ui.Secret("credential", "Credential", ""),
		empty(ui.Text("query", "Query", queryText(spec), "What to read, as LABEL=QUERY; several divided by ;. Empty means everything."), "(everything)"),
		ui.Text("partition", "Partition", spec.GetPartition(), "Where its devices belong: equal addresses in two partitions are two devices."),
		empty(ui.Text("poll", "Poll interval", interval(spec.GetPollInterval()), "Time between two runs, such as 15m. Empty means the sync service's own."), "(the sync service's own)"),
		ui.Choose("verify", "Verify TLS", verify, "Whether its certificate is checked.", []ui.Option{{Value: "yes", Label: "yes"}, {Value: "no", Label: "no", Note: "accepts any certificate"}}),
	)
}

// empty says what an empty field means.
func empty(field *ui.Field, means string) *ui.Field {
	field.Empty = means
	return field
}

func queryText(spec *adminv1.SourceSpec) string {
	var parts []string
	for _, q := range spec.GetQueries() {
		parts = append(parts, q.GetLabel()+"="+q.GetQuery())
	}
	return strings.Join(parts, "; ")
}

func (f *form) field(name string) *ui.Field {
	for _, field := range f.all {
		if field.Name == name {
			return field
		}
	}
	return nil
}

func (f *form) tenant() string {
	if f.before != nil {
		return f.before.GetTenant()
	}
	return f.field("tenant").Value()
}

func (f *form) sourceType() string {
	if f.before != nil {
		return f.before.GetSpec().GetSourceType()
	}
	return f.field("type").Value()
}

// arrange shows the fields that the chosen type has, and the services that the
// chosen tenant can use with how each does now.
func (f *form) arrange() {
	var options []ui.Option
	for _, service := range f.env.Live.Available(f.tenant()) {
		status := services.Status(service)
		options = append(options, ui.Option{
			Value: service.GetId(), Label: service.GetName(),
			Note: ui.Mark(status) + " " + status + ", " + services.Kind(service),
		})
	}
	f.field("service").SetOptions(options)
	key := credentialKey(f.sourceType())
	credential := f.field("credential")
	credential.Help = key + ", kept encrypted and never shown again."
	if f.before != nil {
		credential.Help, credential.Empty = key+". Empty leaves the one there is.", "(the one there is)"
	}
	var shown []*ui.Field
	for _, field := range f.all {
		if f.sourceType() == payload.TypeFaker && (field.Name == "endpoint" || field.Name == "credential" || field.Name == "query" || field.Name == "verify") {
			continue
		}
		if f.sourceType() == payload.TypeNetBox && field.Name == "query" && f.before == nil {
			continue
		}
		shown = append(shown, field)
	}
	if f.form == nil {
		f.form = ui.NewForm(shown...)
	}
	f.form.Fields = shown
}

func credentialKey(sourceType string) string {
	switch sourceType {
	case payload.TypeArmis:
		return payload.CredentialSecretKey
	case payload.TypeNetBox:
		return payload.CredentialAPIToken
	}
	return ""
}

// Title implements ui.Dialog.
func (f *form) Title() string {
	if f.before != nil {
		return "Source " + f.before.GetSpec().GetName() + " of tenant " + f.before.GetTenant()
	}
	return "New Source"
}

// Keys implements ui.Dialog.
func (f *form) Keys() []ui.Key {
	return []ui.Key{
		{Keys: "tab ↑↓", Does: "field"}, {Keys: "←→", Does: "choose"}, {Keys: "ctrl+t", Does: "test"},
		{Keys: "ctrl+s", Does: "save"}, {Keys: "esc", Does: "cancel"},
	}
}

// Escape implements ui.Dialog.
func (f *form) Escape() bool { return !f.busy }

// Update implements ui.Dialog.
func (f *form) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case savedMsg:
		if msg.form != f {
			return nil
		}
		if f.busy = false; msg.err != nil {
			f.err = ui.ErrorText(msg.err)
			return nil
		}
		return f.env.Close(f, ui.Toast("source "+msg.source.GetSpec().GetName()+" is saved: "+msg.source.GetSyncServiceName()+" runs it"))
	case ui.LiveMsg:
		f.arrange()
		return nil
	}
	if f.busy {
		return nil
	}
	if key, ok := msg.(tea.KeyPressMsg); ok && key.String() == "ctrl+t" {
		return f.test()
	}
	submit := f.form.Update(msg)
	f.arrange()
	if submit {
		return f.save()
	}
	return nil
}

func (f *form) save() tea.Cmd {
	spec, err := f.spec()
	if err != nil {
		f.err = ui.Clean(err.Error())
		return nil
	}
	credentials := f.credentials()
	f.busy, f.err = true, ""
	tenant, service := f.tenant(), f.form.Value("service")
	return f.env.Do(func(ctx context.Context) tea.Msg {
		if f.before == nil {
			source, err := f.env.Client.CreateSource(ctx, &adminv1.CreateSourceRequest{Tenant: tenant, Spec: spec, Service: service, Credentials: credentials})
			return savedMsg{f, source, err}
		}
		source, err := f.env.Client.UpdateSource(ctx, &adminv1.UpdateSourceRequest{
			Tenant: tenant, Source: f.before.GetId(), Spec: spec, Service: service,
			Credentials: credentials, IfUpdatedAt: f.before.GetUpdatedAt(),
		})
		return savedMsg{f, source, err}
	})
}

func (f *form) credentials() map[string][]byte {
	credentials := map[string][]byte{}
	if value := strings.TrimSpace(f.form.Value("credential")); value != "" {
		credentials[credentialKey(f.sourceType())] = []byte(value)
	}
	return credentials
}

// test has the chosen service try what the form says. Nothing is saved by it.
func (f *form) test() tea.Cmd {
	spec, err := f.spec()
	if err != nil {
		f.err = ui.Clean(err.Error())
		return nil
	}
	f.err = ""
	request := &adminv1.TestSourceRequest{
		Tenant: f.tenant(), Spec: spec, Service: f.form.Value("service"), Credentials: f.credentials(),
	}
	if f.before != nil {
		request.Source = f.before.GetId()
	}
	return commands.NewTest(f.env, spec.GetName(), request)
}

// spec is what the form says, over what there was before.
func (f *form) spec() (*adminv1.SourceSpec, error) {
	spec := &adminv1.SourceSpec{SourceType: f.sourceType()}
	if f.before != nil {
		spec = proto.CloneOf(f.before.GetSpec())
	}
	value := func(name string) string { return strings.TrimSpace(f.form.Value(name)) }
	if spec.Name = value("name"); spec.Name == "" {
		f.form.Field("name").Error = "say what it is called"
		return nil, fmt.Errorf("the name is missing")
	}
	spec.Partition = value("partition")
	if f.form.Field("endpoint") != nil {
		spec.Endpoint = value("endpoint")
		spec.InsecureSkipVerify = value("verify") == "no"
	}
	if f.form.Field("query") != nil {
		queries, err := parseQueries(value("query"), spec.GetQueries())
		if err != nil {
			return nil, err
		}
		spec.Queries = queries
	}
	spec.PollInterval = nil
	if text := value("poll"); text != "" {
		every, err := time.ParseDuration(text)
		if err != nil || every <= 0 {
			f.form.Field("poll").Error = strconv.Quote(text) + " is no duration such as 15m"
			return nil, fmt.Errorf("the poll interval %q is no duration such as 15m", text)
		}
		spec.PollInterval = durationpb.New(every)
	}
	return spec, nil
}

// parseQueries reads LABEL=QUERY parts; one whose label was there keeps its
// sweep modes.
func parseQueries(text string, before []*adminv1.Query) ([]*adminv1.Query, error) {
	modes := map[string][]string{}
	for _, q := range before {
		modes[q.GetLabel()] = q.GetSweepModes()
	}
	var queries []*adminv1.Query
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		label, query, ok := strings.Cut(part, "=")
		if !ok || label == "" {
			return nil, fmt.Errorf("query %q: want LABEL=QUERY", part)
		}
		queries = append(queries, &adminv1.Query{Label: label, Query: query, SweepModes: modes[label]})
	}
	return queries, nil
}

// View implements ui.Dialog.
func (f *form) View(width, height int) string {
	var below []string
	if f.busy {
		below = []string{"", f.env.Styles.Dim.Render("Saving …")}
	} else if f.err != "" {
		for _, line := range ui.Wrap("✗ "+f.err, width) {
			below = append(below, f.env.Styles.Bad.Render(line))
		}
	}
	text := f.form.View(&f.env.Styles, width, height-len(below))
	if len(below) > 0 {
		text += "\n" + strings.Join(below, "\n")
	}
	return text
}
