package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgesync/proto/payload"
)

// maxFile is far beyond any configuration of hand-written sources.
const maxFile = 16 << 20

// legacy is a configuration of the key-value era, as far as it can be carried.
type legacy struct {
	// agent is whom the service reported as; empty where it did not say.
	agent   string
	entries []entry
	// dropped are the settings of the service itself that are not carried.
	dropped []dropped
}

// entry is one source.
type entry struct {
	name        string
	kind        string
	endpoint    string
	partition   string
	queries     []payload.Query
	poll        time.Duration
	discovery   time.Duration
	sweep       time.Duration
	pageSize    int
	batchSize   int
	blacklist   []string
	customField string
	insecure    bool
	credentials map[string][]byte
	// missing are credentials whose value is somewhere else, by their keys, with
	// where it says that it is.
	missing map[string]string
	dropped []dropped
	// problems are why it cannot be carried at all.
	problems []string
}

// dropped is a setting that is not carried, and why.
type dropped struct{ setting, reason string }

// Why settings are not carried.
const (
	reasonKV      = "there is no key-value store any more: configuration comes over the gateway"
	reasonNATS    = "there is no message bus any more: devices go over the gateway"
	reasonPackage = "identity and addresses come with the edge package or the join token"
	reasonWriting = "nothing is written back to the source"
	reasonAgent   = "who reports a device is the sync service's own identity"
	reasonLogs    = "logs go to the error stream; see `edgesync run --help`"
	reasonUnknown = "it is not known here"
)

// serviceSettings are those of the service, with why they are not carried; the
// empty reason is for what is read.
var serviceSettings = map[string]string{
	"sources": "", "integrations": "", "agent_id": "", "poll_interval": "", "discovery_interval": "", "sweep_interval": "", "network_blacklist": "",
	"kv_address": reasonKV, "kv_endpoint": reasonKV, "kv_role": reasonKV, "kv_domain": reasonKV, "kv_bucket": reasonKV, "kv_security": reasonKV,
	"nats_url": reasonNATS, "nats_security": reasonNATS, "stream_name": reasonNATS, "subject": reasonNATS, "domain": reasonNATS,
	"listen_addr": reasonPackage, "security": reasonPackage, "service_name": reasonPackage, "service_type": reasonPackage,
	"update_interval": reasonWriting, "poller_id": reasonAgent, "gateway_id": reasonAgent, "logging": reasonLogs,
}

// sourceSettings are those of a source, likewise.
var sourceSettings = map[string]string{
	"type": "", "endpoint": "", "credentials": "", "queries": "", "poll_interval": "", "discovery_interval": "", "sweep_interval": "",
	"partition": "", "network_blacklist": "", "custom_field": "", "batch_size": "", "insecure_skip_verify": "",
	"prefix": reasonKV, "agent_id": reasonAgent, "poller_id": reasonAgent, "gateway_id": reasonAgent,
}

// known are the credentials a type takes. Others are settings of the old program.
var known = map[string][]string{
	payload.TypeArmis:  {payload.CredentialSecretKey, payload.CredentialAPIKey, payload.CredentialPageSize},
	payload.TypeNetBox: {payload.CredentialAPIToken, payload.CredentialPageSize},
}

// parse reads a configuration. Sources that cannot be carried are entries with
// problems; what cannot be read at all is an error. Neither quotes a value.
func parse(data []byte) (legacy, error) {
	if len(data) > maxFile {
		return legacy{}, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var top map[string]json.RawMessage
	if err := decode(data, &top); err != nil {
		return legacy{}, err
	}
	if _, minimal := top["gateway_addr"]; minimal && top["sources"] == nil {
		return legacy{}, errors.New("it is the minimal config of an edge service, which holds no sources: they are on its platform already")
	}
	var found legacy
	found.dropped = drop(top, serviceSettings)
	// What a service says of all its sources.
	var all struct {
		Agent     string   `json:"agent_id"`
		Poll      duration `json:"poll_interval"`
		Discovery duration `json:"discovery_interval"`
		Sweep     duration `json:"sweep_interval"`
		Blacklist []string `json:"network_blacklist"`
	}
	if err := decode(data, &all); err != nil {
		return legacy{}, err
	}
	found.agent = all.Agent
	sources := top["sources"]
	if sources == nil {
		sources = top["integrations"]
	}
	var raw map[string]json.RawMessage
	if err := decode(sources, &raw); err != nil || len(raw) == 0 {
		return legacy{}, errors.New(`it holds no "sources"`)
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		e := readEntry(name, raw[name])
		e.poll, e.discovery, e.sweep = either(e.poll, all.Poll), either(e.discovery, all.Discovery), either(e.sweep, all.Sweep)
		e.blacklist = append(e.blacklist, all.Blacklist...)
		found.entries = append(found.entries, e)
	}
	return found, nil
}

func either(own time.Duration, all duration) time.Duration {
	if own != 0 {
		return own
	}
	return time.Duration(all)
}

// drop lists the settings that are there and not carried.
func drop(settings map[string]json.RawMessage, reasons map[string]string) []dropped {
	var list []dropped
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		reason, known := reasons[name]
		if !known {
			reason = reasonUnknown
		}
		if reason != "" && !empty(settings[name]) {
			list = append(list, dropped{name, reason})
		}
	}
	return list
}

// empty tells a setting that says nothing.
func empty(value json.RawMessage) bool {
	switch string(bytes.TrimSpace(value)) {
	case "null", `""`, "[]", "{}", "0", "false":
		return true
	}
	return false
}

func readEntry(name string, data json.RawMessage) entry {
	e := entry{name: name, credentials: map[string][]byte{}, missing: map[string]string{}}
	var settings map[string]json.RawMessage
	var s struct {
		Type        string                     `json:"type"`
		Endpoint    string                     `json:"endpoint"`
		Credentials map[string]json.RawMessage `json:"credentials"`
		Queries     []payload.Query            `json:"queries"`
		Poll        duration                   `json:"poll_interval"`
		Discovery   duration                   `json:"discovery_interval"`
		Sweep       duration                   `json:"sweep_interval"`
		Partition   string                     `json:"partition"`
		Blacklist   []string                   `json:"network_blacklist"`
		CustomField string                     `json:"custom_field"`
		BatchSize   int                        `json:"batch_size"`
		Insecure    bool                       `json:"insecure_skip_verify"`
	}
	err := decode(data, &settings)
	if err == nil {
		err = decode(data, &s)
	}
	if err != nil {
		e.problems = append(e.problems, err.Error())
		return e
	}
	e.kind, e.endpoint, e.partition, e.queries = s.Type, s.Endpoint, s.Partition, s.Queries
	e.poll, e.discovery, e.sweep = time.Duration(s.Poll), time.Duration(s.Discovery), time.Duration(s.Sweep)
	e.blacklist, e.customField, e.batchSize, e.insecure = s.Blacklist, s.CustomField, s.BatchSize, s.Insecure
	e.dropped = drop(settings, sourceSettings)
	if e.batchSize < 0 || e.batchSize > math.MaxInt32 {
		e.problems = append(e.problems, `its "batch_size" is no number of devices`)
	}
	if e.kind == "" {
		e.problems = append(e.problems, `it has no "type"`)
	}
	// The old program's users wrote NetBox's API where it belonged to the address.
	if base, ok := strings.CutSuffix(strings.TrimRight(e.endpoint, "/"), "/api"); ok && e.kind == payload.TypeNetBox {
		e.endpoint = base
	}
	for i := range e.queries {
		if e.queries[i].Label == "" {
			e.queries[i].Label = fmt.Sprintf("query %d", i+1)
		}
	}
	e.readCredentials(s.Credentials)
	return e
}

// readCredentials keeps what the type takes. The page size went among them.
func (e *entry) readCredentials(credentials map[string]json.RawMessage) {
	for _, key := range slices.Sorted(maps.Keys(credentials)) {
		if empty(credentials[key]) {
			continue
		}
		value, ok := text(credentials[key])
		switch {
		case !slices.Contains(known[e.kind], key):
			e.dropped = append(e.dropped, dropped{"credentials." + key, reasonUnknown})
		case !ok:
			e.problems = append(e.problems, fmt.Sprintf("credential %s is not a text", key))
		case key == payload.CredentialPageSize:
			size, err := strconv.Atoi(value)
			if err != nil || size < 1 || size > math.MaxInt32 {
				e.problems = append(e.problems, "credential page_size is no number of devices")
			}
			e.pageSize = size
		case reference(value) != "":
			e.missing[key] = reference(value)
		default:
			e.credentials[key] = []byte(value)
		}
	}
}

// reference tells a value that only names where the credential is, such as
// ${kv:secrets/armis/key}: the kind of place, never what stands behind it.
func reference(value string) string {
	inside, opened := strings.CutPrefix(value, "${")
	inside, closed := strings.CutSuffix(inside, "}")
	if !opened || !closed {
		return ""
	}
	if kind, _, ok := strings.Cut(inside, ":"); ok && kind == "kv" {
		return "the key-value store"
	}
	return "a variable"
}

// text is a JSON string, or a number or truth as one.
func text(raw json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, true
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String(), true
	}
	var b bool
	if json.Unmarshal(raw, &b) == nil {
		return strconv.FormatBool(b), true
	}
	return "", false
}

// duration is a Go duration ("5m"), or its nanoseconds.
type duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		var n int64
		if err := json.Unmarshal(data, &n); err != nil || n < 0 {
			return errors.New(`an interval is not a duration such as "5m"`)
		}
		*d = duration(n)
		return nil
	}
	if text == "" {
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 {
		return errors.New(`an interval is not a duration such as "5m"`)
	}
	*d = duration(parsed)
	return nil
}

// decode reads JSON. Its errors name a field or a place, never a value.
func decode(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON, from byte %d on", syntax.Offset)
	case errors.As(err, &wrong):
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Errorf("%q must not be of the kind %s", wrong.Field, kind)
	}
	return err
}
