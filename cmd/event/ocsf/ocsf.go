// Package ocsf writes events as the Open Cybersecurity Schema Framework has them
// (https://schema.ocsf.io, version 1.3.0), so that whatever reads that schema
// reads them. It knows the classes and their attributes; it knows nothing of
// where events come from or go to.
package ocsf

import (
	"encoding/json"
	"net"
	"strconv"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// SchemaVersion is the version of the schema that records are written in.
const SchemaVersion = "1.3.0"

// The classes that are used: category times 1000 plus the class in it.
const (
	ClassDetectionFinding    = 2004
	ClassAuthentication      = 3002
	ClassEntityManagement    = 3004
	ClassDeviceInventoryInfo = 5001
)

var categories = map[int]struct {
	uid         int
	name, class string
}{
	ClassDetectionFinding:    {2, "Findings", "Detection Finding"},
	ClassAuthentication:      {3, "Identity & Access Management", "Authentication"},
	ClassEntityManagement:    {3, "Identity & Access Management", "Entity Management"},
	ClassDeviceInventoryInfo: {5, "Discovery", "Device Inventory Info"},
}

// Record is an event in one of the classes. Attributes that a class does not have
// are left out.
type Record struct {
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`
	// Time is in milliseconds since 1970.
	Time       int64    `json:"time"`
	SeverityID int      `json:"severity_id"`
	Severity   string   `json:"severity"`
	StatusID   int      `json:"status_id,omitempty"`
	Status     string   `json:"status,omitempty"`
	Detail     string   `json:"status_detail,omitempty"`
	Message    string   `json:"message"`
	Metadata   Metadata `json:"metadata"`
	Actor      *Actor   `json:"actor,omitempty"`

	Entity      *Entity   `json:"entity,omitempty"`
	User        *User     `json:"user,omitempty"`
	Service     *Service  `json:"service,omitempty"`
	IsRemote    *bool     `json:"is_remote,omitempty"`
	SrcEndpoint *Endpoint `json:"src_endpoint,omitempty"`
	Finding     *Finding  `json:"finding_info,omitempty"`
	Device      *Device   `json:"device,omitempty"`
	// Unmapped is what the schema has no attribute for.
	Unmapped map[string]string `json:"unmapped,omitempty"`
}

// Metadata says what an event is of and how it is counted.
type Metadata struct {
	Version string  `json:"version"`
	Product Product `json:"product"`
	// UID is the event's own id; Sequence its number among its tenant's, or 0.
	UID       string `json:"uid"`
	Sequence  int64  `json:"sequence,omitempty"`
	EventCode string `json:"event_code"`
	LogName   string `json:"log_name"`
	TenantUID string `json:"tenant_uid,omitempty"`
	// CorrelationUID is the run that an event is about.
	CorrelationUID string   `json:"correlation_uid,omitempty"`
	Labels         []string `json:"labels,omitempty"`
}

// Product is this program.
type Product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version"`
}

// Actor is who did it and through what.
type Actor struct {
	User    *User  `json:"user,omitempty"`
	AppName string `json:"app_name,omitempty"`
}

// User is a person, a program or a service with an identity.
type User struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type,omitempty"`
}

// Entity is what is managed.
type Entity struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
	Type string `json:"type"`
}

// Service is what somebody is authenticated to.
type Service struct {
	Name string `json:"name"`
}

// Endpoint is one end of a connection.
type Endpoint struct {
	IP   string `json:"ip,omitempty"`
	Port int    `json:"port,omitempty"`
}

// Finding is what was detected.
type Finding struct {
	UID   string   `json:"uid"`
	Title string   `json:"title"`
	Types []string `json:"types,omitempty"`
}

// Device is a device of the inventory.
type Device struct {
	UID    string `json:"uid"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type,omitempty"`
}

// Of is an event as a record; sequence is its number among its tenant's, 0 where
// that is not known.
func Of(e *adminv1.Event, sequence int64) Record {
	c := classify(e)
	category := categories[c.class]
	r := Record{
		ActivityID: c.activity, ActivityName: c.name, CategoryUID: category.uid, CategoryName: category.name,
		ClassUID: c.class, ClassName: category.class, TypeUID: c.class*100 + c.activity, TypeName: category.class + ": " + c.name,
		Time: e.GetTime().AsTime().UnixMilli(), Message: e.GetMessage(),
		Metadata: Metadata{
			Version: SchemaVersion, Product: Product{Name: "edgesync", VendorName: "edgesync", Version: cmdutil.Version},
			UID: e.GetId(), Sequence: sequence, EventCode: e.GetType(), LogName: "edgesync",
			TenantUID: e.GetTenantId(), CorrelationUID: e.GetDetails()["run_id"],
		},
		Actor:    &Actor{User: userOf(e.GetActor()), AppName: e.GetOrigin()},
		Unmapped: unmapped(e),
	}
	if e.GetTenant() != "" {
		r.Metadata.Labels = []string{"tenant:" + e.GetTenant()}
	}
	r.SeverityID, r.Severity = severity(e.GetSeverity())
	c.fill(&r, e)
	return r
}

// JSON is a record on one line, without the line's end.
func (r Record) JSON() ([]byte, error) { return json.Marshal(r) }

// severity is by the schema's scale: 1 informational, 3 medium, 4 high.
func severity(s string) (int, string) {
	switch s {
	case "info":
		return 1, "Informational"
	case "warning":
		return 3, "Medium"
	case "error":
		return 4, "High"
	}
	return 0, "Unknown"
}

func userOf(name string) *User {
	if name == "" {
		name = "unknown"
	}
	return &User{Name: name, TypeID: 99, Type: "edgesync identity"}
}

// unmapped are the details, and the ids that no attribute has.
func unmapped(e *adminv1.Event) map[string]string {
	all := map[string]string{}
	for key, value := range e.GetDetails() {
		all[key] = value
	}
	for key, value := range map[string]string{"source_id": e.GetSourceId(), "service_id": e.GetServiceId(), "tenant": e.GetTenant()} {
		if value != "" {
			all[key] = value
		}
	}
	return all
}

func endpointOf(address string) *Endpoint {
	host, port, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) == nil {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil
	}
	return &Endpoint{IP: host, Port: int(n)}
}
