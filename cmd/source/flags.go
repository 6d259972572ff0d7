package source

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// SpecFlags are the flags that source add and source edit share.
type SpecFlags struct {
	Endpoint           string
	Queries            []string
	Partition          string
	PollInterval       time.Duration
	DiscoveryInterval  time.Duration
	SweepInterval      time.Duration
	PageSize           int32
	BatchSize          int32
	Blacklist          []string
	CustomField        string
	Settings           []string
	InsecureSkipVerify bool
	Confidence         int32
}

func (s *SpecFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.Endpoint, "endpoint", "", "base URL of the source's API")
	flags.StringArrayVar(&s.Queries, "query", nil, "what to read, as `LABEL=QUERY`; may be repeated")
	flags.StringVar(&s.Partition, "partition", "", `partition its devices belong to (default "default")`)
	flags.DurationVar(&s.PollInterval, "poll-interval", 0, "time between polls, such as 15m (default: the sync service's)")
	flags.DurationVar(&s.DiscoveryInterval, "discovery-interval", 0, "time between full discoveries, such as 6h (default: the sync service's)")
	flags.DurationVar(&s.SweepInterval, "sweep-interval", 0, "time between sweeps, handed to the sync service")
	flags.Int32Var(&s.PageSize, "page-size", 0, "devices to ask for at a time (default: the source type's)")
	flags.Int32Var(&s.BatchSize, "batch-size", 0, "updates to send at a time (default: the sync service's)")
	flags.StringSliceVar(&s.Blacklist, "blacklist", nil, "network whose addresses are left out, as `CIDR`; may be repeated")
	flags.StringVar(&s.CustomField, "custom-field", "", "field of the source to keep on its devices")
	flags.StringArrayVar(&s.Settings, "setting", nil, "a knob of the source type, as `KEY=VALUE`; may be repeated")
	flags.BoolVar(&s.InsecureSkipVerify, "insecure-skip-verify", false, "accept any certificate from the source")
	flags.Int32Var(&s.Confidence, "confidence", 0, "how much its values weigh against other sources', 1 to 10 (default: the source type's)")
}

// apply puts the flags that were given into spec. A list that is given replaces
// the list there was; a setting replaces its own key, and without a value
// removes it.
func (s *SpecFlags) apply(given func(flag string) bool, spec *adminv1.SourceSpec) error {
	set := func(flag string, assign func()) {
		if given(flag) {
			assign()
		}
	}
	set("endpoint", func() { spec.Endpoint = s.Endpoint })
	set("partition", func() { spec.Partition = s.Partition })
	set("page-size", func() { spec.PageSize = s.PageSize })
	set("batch-size", func() { spec.BatchSize = s.BatchSize })
	set("custom-field", func() { spec.CustomField = s.CustomField })
	set("insecure-skip-verify", func() { spec.InsecureSkipVerify = s.InsecureSkipVerify })
	set("confidence", func() { spec.Confidence = s.Confidence })
	set("blacklist", func() { spec.NetworkBlacklist = withoutEmpty(s.Blacklist) })
	if err := s.applyIntervals(given, spec); err != nil {
		return err
	}
	if given("query") {
		if err := s.applyQueries(spec); err != nil {
			return err
		}
	}
	return s.applySettings(spec)
}

func (s *SpecFlags) applyIntervals(given func(string) bool, spec *adminv1.SourceSpec) error {
	intervals := []struct {
		flag   string
		value  time.Duration
		target **durationpb.Duration
	}{
		{"poll-interval", s.PollInterval, &spec.PollInterval},
		{"discovery-interval", s.DiscoveryInterval, &spec.DiscoveryInterval},
		{"sweep-interval", s.SweepInterval, &spec.SweepInterval},
	}
	for _, interval := range intervals {
		switch {
		case !given(interval.flag):
		case interval.value < 0:
			return cmdutil.Usagef("--%s %s: want a positive duration such as 15m", interval.flag, interval.value)
		case interval.value == 0:
			*interval.target = nil
		default:
			*interval.target = durationpb.New(interval.value)
		}
	}
	return nil
}

func (s *SpecFlags) applyQueries(spec *adminv1.SourceSpec) error {
	spec.Queries = nil
	for _, text := range withoutEmpty(s.Queries) {
		label, query, err := cmdutil.KeyValue("query", text)
		if err != nil {
			return cmdutil.Usagef("--query %q: want LABEL=QUERY", text)
		}
		spec.Queries = append(spec.Queries, &adminv1.Query{Label: label, Query: query})
	}
	return nil
}

func (s *SpecFlags) applySettings(spec *adminv1.SourceSpec) error {
	for _, text := range s.Settings {
		key, value, err := cmdutil.KeyValue("setting", text)
		if err != nil {
			return err
		}
		if value == "" {
			delete(spec.Settings, key)
			continue
		}
		if spec.Settings == nil {
			spec.Settings = map[string]string{}
		}
		spec.Settings[key] = value
	}
	return nil
}

// withoutEmpty lets `--blacklist ""` empty the list.
func withoutEmpty(items []string) []string {
	var kept []string
	for _, item := range items {
		if strings.TrimSpace(item) != "" {
			kept = append(kept, item)
		}
	}
	return kept
}
