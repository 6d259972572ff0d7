package core

import (
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"edgesync/proto/payload"
	"edgesync/proto/shell"
)

// SourceSpec is what an operator decides about a source.
type SourceSpec struct {
	Name               string
	Type               string
	Endpoint           string
	Partition          string
	Queries            []Query
	PollInterval       time.Duration
	DiscoveryInterval  time.Duration
	SweepInterval      time.Duration
	PageSize           int
	BatchSize          int
	NetworkBlacklist   []string
	CustomField        string
	Settings           map[string]string
	InsecureSkipVerify bool
	// Confidence is 1 to 10; 0 means the type's own.
	Confidence int
}

// The limits of a SourceSpec.
const (
	minInterval   = time.Second
	maxInterval   = 365 * 24 * time.Hour
	maxPageSize   = 10_000
	maxBatchSize  = 5_000
	maxQueries    = 100
	maxBlacklist  = 1_000
	maxSettings   = 64
	maxEndpoint   = 2 << 10
	maxQuery      = 8 << 10
	maxCredential = 16 << 10
	maxConfidence = 10
)

// sourceType is what is particular to a kind of source.
type sourceType struct {
	needsEndpoint bool
	confidence    int
	// credentials are the keys it takes; required lists those of which it needs
	// at least one.
	credentials []string
	required    []string
}

var sourceTypes = map[string]sourceType{
	payload.TypeArmis: {
		needsEndpoint: true, confidence: 7,
		credentials: []string{payload.CredentialSecretKey, payload.CredentialAPIKey},
		required:    []string{payload.CredentialSecretKey, payload.CredentialAPIKey},
	},
	payload.TypeNetBox: {
		needsEndpoint: true, confidence: 7,
		credentials: []string{payload.CredentialAPIToken},
		required:    []string{payload.CredentialAPIToken},
	},
	payload.TypeFaker: {confidence: 5},
}

// key is a word used as the key of a setting, or as a sweep mode.
var key = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// check says why a spec is refused, or completes it with its defaults and
// brings it into one spelling.
func (s *SourceSpec) check() *Error {
	if err := validName("name of source", s.Name); err != nil {
		return err
	}
	kind, ok := sourceTypes[s.Type]
	if !ok {
		return invalid("check source %q: its type %q is none of %s", s.Name, clean(s.Type, maxName), joined(maps.Keys(sourceTypes)))
	}
	if s.Confidence == 0 {
		s.Confidence = kind.confidence
	}
	var err *Error
	if s.Partition, err = validPartition(s.Partition); err != nil {
		return err
	}
	for _, step := range []func() *Error{
		func() *Error { return s.checkEndpoint(kind) },
		s.checkNumbers, s.checkBlacklist, s.checkQueries, s.checkSettings,
		func() *Error { return validText("custom field", s.CustomField, maxName) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *SourceSpec) checkEndpoint(kind sourceType) *Error {
	if s.Endpoint == "" {
		if kind.needsEndpoint {
			return invalid("check source %q: it has no endpoint: give the URL of its API", s.Name)
		}
		return nil
	}
	// None of the refusals quotes the URL: it may hold a password or a token.
	if err := validText("endpoint", s.Endpoint, maxEndpoint); err != nil {
		return err
	}
	u, err := url.Parse(s.Endpoint)
	switch {
	case err != nil:
		return invalid("check endpoint of source %q: it is not a URL", s.Name)
	case u.User != nil:
		return invalid("check endpoint of source %q: it holds a user name: give credentials as credentials", s.Name)
	case u.Scheme != "http" && u.Scheme != "https":
		return invalid("check endpoint of source %q: it does not begin with http:// or https://", s.Name)
	case u.Hostname() == "":
		return invalid("check endpoint of source %q: it names no host", s.Name)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(s.Endpoint, "#"):
		return invalid("check endpoint of source %q: it holds a query or fragment: give the base URL only", s.Name)
	}
	if port := u.Port(); port != "" {
		if err := validAddr("endpoint", "localhost:"+port); err != nil {
			return invalid("check endpoint of source %q: its port is not a number from 1 to 65535", s.Name)
		}
	}
	s.Endpoint = strings.TrimRight(s.Endpoint, "/")
	return nil
}

func (s *SourceSpec) checkNumbers() *Error {
	for _, interval := range []struct {
		what  string
		value time.Duration
	}{{"poll", s.PollInterval}, {"discovery", s.DiscoveryInterval}, {"sweep", s.SweepInterval}} {
		if interval.value != 0 && (interval.value < minInterval || interval.value > maxInterval) {
			return invalid("check source %q: its %s interval %s is not between %s and %s", s.Name, interval.what, shell.Duration(interval.value), shell.Duration(minInterval), shell.Duration(maxInterval))
		}
	}
	for _, number := range []struct {
		what       string
		value, max int
	}{{"page size", s.PageSize, maxPageSize}, {"batch size", s.BatchSize, maxBatchSize}, {"confidence", s.Confidence, maxConfidence}} {
		if number.value < 0 || number.value > number.max {
			return invalid("check source %q: its %s %d is not between 1 and %d", s.Name, number.what, number.value, number.max)
		}
	}
	return nil
}

func (s *SourceSpec) checkBlacklist() *Error {
	if len(s.NetworkBlacklist) > maxBlacklist {
		return invalid("check source %q: its blacklist has %d networks, more than %d", s.Name, len(s.NetworkBlacklist), maxBlacklist)
	}
	networks := make([]string, 0, len(s.NetworkBlacklist))
	for _, text := range s.NetworkBlacklist {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return invalid("check source %q: %q in its blacklist is not a network in CIDR form, such as 10.0.0.0/8", s.Name, clean(text, maxName))
		}
		networks = append(networks, network.Masked().String())
	}
	slices.Sort(networks)
	s.NetworkBlacklist = slices.Compact(networks)
	return nil
}

func (s *SourceSpec) checkQueries() *Error {
	if len(s.Queries) > maxQueries {
		return invalid("check source %q: it has %d queries, more than %d", s.Name, len(s.Queries), maxQueries)
	}
	labels := map[string]bool{}
	for _, query := range s.Queries {
		if err := validName("label of query", query.Label); err != nil {
			return err
		}
		if labels[query.Label] {
			return invalid("check source %q: two of its queries have the label %q", s.Name, query.Label)
		}
		labels[query.Label] = true
		if query.Query == "" {
			return invalid("check source %q: its query %q is empty", s.Name, query.Label)
		}
		if err := validText("query "+query.Label, query.Query, maxQuery); err != nil {
			return err
		}
		for _, mode := range query.SweepModes {
			if !key.MatchString(mode) {
				return invalid("check source %q: sweep mode %q of query %q is not a word", s.Name, clean(mode, maxName), query.Label)
			}
		}
	}
	return nil
}

func (s *SourceSpec) checkSettings() *Error {
	if len(s.Settings) > maxSettings {
		return invalid("check source %q: it has %d settings, more than %d", s.Name, len(s.Settings), maxSettings)
	}
	for name, value := range s.Settings {
		if !key.MatchString(name) {
			return invalid("check source %q: the name %q of a setting is not a word", s.Name, clean(name, maxName))
		}
		if err := validText("setting "+name, value, maxQuery); err != nil {
			return err
		}
	}
	return nil
}

// checkCredentials checks what is to be set or, with an empty value, removed.
// It never quotes a value.
func checkCredentials(name, kind string, credentials map[string][]byte) *Error {
	takes := sourceTypes[kind].credentials
	for credential, value := range credentials {
		switch {
		case !slices.Contains(takes, credential) && len(takes) == 0:
			return invalid("check source %q: type %s takes no credentials, not %q", name, kind, clean(credential, maxName))
		case !slices.Contains(takes, credential):
			return invalid("check source %q: %q is no credential of type %s: it takes %s", name, clean(credential, maxName), kind, strings.Join(takes, ", "))
		case len(value) > maxCredential:
			return invalid("check source %q: its credential %s has %d bytes, more than %d", name, credential, len(value), maxCredential)
		case validText("credential", string(value), maxCredential) != nil:
			return invalid("check source %q: its credential %s holds a line break, a control character or bytes that are not text", name, credential)
		}
	}
	return nil
}

// checkRequired says whether a source has the credentials it cannot do without.
func checkRequired(name, kind string, have map[string][]byte) *Error {
	required := sourceTypes[kind].required
	if len(required) == 0 || slices.ContainsFunc(required, func(key string) bool { return len(have[key]) > 0 }) {
		return nil
	}
	return invalid("check source %q: type %s needs the credential %s (--credential)", name, kind, strings.Join(required, " or "))
}

func joined(words func(func(string) bool)) string {
	return strings.Join(slices.Sorted(words), ", ")
}
