package ocsf_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/cmd/event/ocsf"
	adminv1 "edgesync/proto/admin/v1"
)

// class is what the schema wants of a class. Source: github.com/ocsf/ocsf-schema,
// tag 1.3.0: events/base_event.json for what all have, and of each class its own
// file (events/iam/entity_management.json, events/iam/authentication.json,
// events/findings/detection_finding.json with findings/finding.json,
// events/discovery/inventory_info.json with discovery/discovery.json), the objects
// in objects/managed_entity.json, user.json, finding_info.json, device.json,
// metadata.json and product.json.
type class struct {
	category int
	// required attributes, by path; of each list in oneOf at least one.
	required   []string
	oneOf      [][]string
	activities []int
}

var base = []string{
	"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid",
	"metadata.version", "metadata.product", "metadata.product.name", "metadata.product.vendor_name",
}

var classes = map[int]class{
	2004: {2, []string{"finding_info", "finding_info.uid", "finding_info.title"}, nil, []int{0, 1, 2, 3, 99}},
	3002: {3, []string{"user"}, [][]string{{"service", "dst_endpoint"}, {"user.name", "user.uid", "user.account"}}, []int{0, 1, 2, 3, 4, 5, 6, 99}},
	3004: {3, []string{"entity"}, [][]string{{"entity.name", "entity.uid"}}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99}},
	5001: {5, []string{"device", "device.type_id"}, [][]string{{"device.ip", "device.uid", "device.name", "device.hostname"}}, []int{0, 1, 2, 99}},
}

// at finds an attribute by its path.
func at(record map[string]any, path string) (any, bool) {
	var value any = record
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok || value == "" {
			return nil, false
		}
	}
	return value, true
}

// validate holds a record to the schema.
func validate(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var record map[string]any
	if err := json.Unmarshal(line, &record); err != nil || strings.ContainsAny(string(line), "\n\r") {
		t.Fatalf("%q is no record on one line: %v", line, err)
	}
	number := func(name string) int { n, _ := record[name].(float64); return int(n) }
	want, ok := classes[number("class_uid")]
	if !ok {
		t.Fatalf("class %v is not one of the schema's that are used", record["class_uid"])
	}
	for _, path := range slices.Concat(base, want.required) {
		if _, ok := at(record, path); !ok {
			t.Errorf("%v: %s is missing: %s", record["type_name"], path, line)
		}
	}
	for _, any := range want.oneOf {
		if !slices.ContainsFunc(any, func(path string) bool { _, ok := at(record, path); return ok }) {
			t.Errorf("%v: none of %v is there: %s", record["type_name"], any, line)
		}
	}
	activity := number("activity_id")
	if number("category_uid") != want.category || number("type_uid") != number("class_uid")*100+activity || !slices.Contains(want.activities, activity) {
		t.Errorf("category %v, class %v, type %v, activity %d", record["category_uid"], record["class_uid"], record["type_uid"], activity)
	}
	if activity == 99 && record["activity_name"] == "" {
		t.Errorf("another activity has no name: %s", line)
	}
	if s := number("severity_id"); s < 0 || s > 6 && s != 99 {
		t.Errorf("severity %d", s)
	}
	if v, _ := at(record, "metadata.version"); v != "1.3.0" {
		t.Errorf("version %v", v)
	}
	return record
}

var now = time.Date(2026, 3, 14, 15, 9, 26, 535_897_000, time.UTC)

func event(kind, severity string, details map[string]string) *adminv1.Event {
	return &adminv1.Event{
		Id: "0190a6b2-0000-7000-8000-000000000001", Time: timestamppb.New(now), Tenant: "acme", TenantId: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
		Type: kind, Severity: severity, Actor: "spiffe://edgesync.local/acme/default/hq", Origin: "gateway",
		SourceId: "s-1", ServiceId: "v-1", Message: "something happened to " + kind, Details: details,
	}
}

func TestEventsAreOfTheirClasses(t *testing.T) {
	for _, c := range []struct {
		event          *adminv1.Event
		typeUID        float64
		severity       float64
		path, name     string
		activity, more string
	}{
		{event("source.created", "info", nil), 300401, 1, "entity.uid", "s-1", "Create", "entity.type"},
		{event("source.disabled", "info", nil), 300409, 1, "entity.type", "Integration Source", "Disable", ""},
		{event("source.failing", "error", map[string]string{"run_id": "r-1"}), 300499, 4, "metadata.correlation_uid", "r-1", "Failing", "unmapped.run_id"},
		{event("source.retractions_held", "error", nil), 300499, 4, "entity.uid", "s-1", "Retractions held", ""},
		{event("service.onboarded", "info", map[string]string{"component_id": "hq"}), 300406, 1, "entity.name", "hq", "Enroll", ""},
		{event("service.revoked", "warning", nil), 300409, 3, "entity.uid", "v-1", "Disable", ""},
		{event("tenant.suspended", "warning", nil), 300412, 3, "entity.name", "acme", "Suspend", ""},
		{event("token.cancelled", "info", map[string]string{"token_id": "t-1"}), 300404, 1, "entity.uid", "t-1", "Delete", ""},
		{event("identity.merge", "info", map[string]string{"device": "sr:1", "devices": "sr:2"}), 300403, 1, "entity.uid", "sr:1", "Update", "unmapped.devices"},
		{event("identity.ambiguous", "warning", map[string]string{"identifiers": "mac x"}), 300499, 3, "entity.type", "Inventory", "Ambiguous", ""},
		{event("identity.retraction", "info", map[string]string{"device": "sr:1"}), 500199, 1, "device.uid", "sr:1", "Retract", ""},
		{event("identity.return", "info", map[string]string{"device": "sr:1"}), 500102, 1, "device.uid", "sr:1", "Collect", ""},
		{event("security.revoked", "warning", map[string]string{"operation": "Connect", "identity": "x", "address": "192.0.2.7:4711", "reason": "revoked"}),
			300201, 3, "src_endpoint.ip", "192.0.2.7", "Logon", "status_detail"},
		{event("security.enrolment_refused", "warning", nil), 300201, 3, "service.name", "agent-gateway", "Logon", "user.name"},
		{event("security.tenant_mismatch", "warning", map[string]string{"operation": "StreamStatus"}), 200401, 3, "finding_info.title", "something happened to security.tenant_mismatch", "Create", ""},
	} {
		line, err := ocsf.Of(c.event, 42).JSON()
		if err != nil {
			t.Fatal(err)
		}
		record := validate(t, line)
		if record["type_uid"] != c.typeUID || record["severity_id"] != c.severity || record["activity_name"] != c.activity {
			t.Errorf("%s is type %v, severity %v, activity %v", c.event.GetType(), record["type_uid"], record["severity_id"], record["activity_name"])
		}
		if got, _ := at(record, c.path); got != c.name {
			t.Errorf("%s: %s is %v, want %s", c.event.GetType(), c.path, got, c.name)
		}
		if _, ok := at(record, c.more); c.more != "" && !ok {
			t.Errorf("%s has no %s: %s", c.event.GetType(), c.more, line)
		}
		if record["time"] != float64(now.UnixMilli()) {
			t.Errorf("the time is %v, want %d", record["time"], now.UnixMilli())
		}
		for path, want := range map[string]any{
			"metadata.sequence": 42.0, "metadata.uid": c.event.GetId(), "metadata.event_code": c.event.GetType(),
			"metadata.tenant_uid": c.event.GetTenantId(), "actor.user.name": c.event.GetActor(), "actor.app_name": "gateway", "message": c.event.GetMessage(),
		} {
			if got, _ := at(record, path); got != want {
				t.Errorf("%s: %s is %v, want %v", c.event.GetType(), path, got, want)
			}
		}
	}
}

// TestEveryTypeOfEventIsValid: whatever the platform records, and what nobody has
// thought of, is a record of the schema.
func TestEveryTypeOfEventIsValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "core", "*.go"))
	if err != nil || len(files) < 50 {
		t.Fatalf("the platform's code is not where it was: %d files, %v", len(files), err)
	}
	kinds := []string{"", "unheard", "unheard.of", "identity.merge", "identity.split", "identity.chain", "source.enabled", "operator.added"}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"((?:source|service|tenant|token|operator|authority|root|gateway|platform|identity|security)\.[a-z_]+)"`).FindAllStringSubmatch(string(code), -1) {
			kinds = append(kinds, m[1])
		}
	}
	if len(kinds) < 30 {
		t.Fatalf("only %d types were found", len(kinds))
	}
	for _, kind := range kinds {
		for _, e := range []*adminv1.Event{event(kind, "info", nil), {Id: "e-1", Type: kind, Time: timestamppb.New(now)}, event(kind, "odd", map[string]string{"device": "sr:1", "address": "no address"})} {
			line, err := ocsf.Of(e, 0).JSON()
			if err != nil {
				t.Fatal(err)
			}
			validate(t, line)
		}
	}
}
