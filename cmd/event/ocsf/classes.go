package ocsf

import (
	"cmp"
	"strings"

	adminv1 "edgesync/proto/admin/v1"
)

// The activities of Entity Management, and of the others, that are used.
const (
	create   = 1
	read     = 2
	update   = 3
	remove   = 4
	move     = 5
	enroll   = 6
	unenroll = 7
	enable   = 8
	disable  = 9
	activate = 10
	suspend  = 12
	resume   = 13
	other    = 99

	logon   = 1
	collect = 2
	found   = 1
)

var activityNames = map[int]string{
	create: "Create", read: "Read", update: "Update", remove: "Delete", move: "Move", enroll: "Enroll", unenroll: "Unenroll",
	enable: "Enable", disable: "Disable", activate: "Activate", suspend: "Suspend", resume: "Resume",
}

// activities are those of the verbs in the types of events; any other verb is an
// activity of its own name.
var activities = map[string]int{
	"created": create, "bootstrapped": create, "added": create, "issued": create,
	"tested": read, "traced": read,
	"updated": update, "renewed": update, "rotated": update, "merge": update, "split": update, "joined": update, "retracted": update,
	"link": update, "unlink": update, "merged": update, "unmerged": update,
	"removed": remove, "cancelled": remove,
	"renamed": move, "onboarded": enroll, "redeemed": enroll, "certificate_revoked": unenroll,
	"enabled": enable, "disabled": disable, "revoked": disable, "hello": activate, "suspended": suspend, "resumed": resume,
}

// classified is the class of an event, its activity, and what the class adds.
type classified struct {
	class, activity int
	name            string
	fill            func(*Record, *adminv1.Event)
}

// classify finds the class. What is refused is a logon that failed, where it was
// at the door, or a finding; what becomes of one device is of the inventory; all
// else is the management of something.
func classify(e *adminv1.Event) classified {
	noun, verb, _ := strings.Cut(e.GetType(), ".")
	switch {
	case noun == "security" && (strings.EqualFold(e.GetDetails()["operation"], "connect") || verb == "enrolment_refused"):
		return classified{ClassAuthentication, logon, "Logon", refusedLogon}
	case noun == "security":
		return classified{ClassDetectionFinding, found, "Create", finding}
	case noun == "identity" && e.GetDetails()["device"] != "" && verb == "return":
		return classified{ClassDeviceInventoryInfo, collect, "Collect", inventory}
	case noun == "identity" && e.GetDetails()["device"] != "" && verb == "retraction":
		return classified{ClassDeviceInventoryInfo, other, "Retract", inventory}
	}
	if activity, ok := activities[verb]; ok {
		return classified{ClassEntityManagement, activity, activityNames[activity], managed}
	}
	return classified{ClassEntityManagement, other, title(verb), managed}
}

// title is a verb as the name of an activity.
func title(verb string) string {
	if verb = strings.ReplaceAll(verb, "_", " "); verb == "" {
		return "Other"
	}
	return strings.ToUpper(verb[:1]) + verb[1:]
}

// entities are what the nouns in the types of events are called.
var entities = map[string]string{
	"source": "Integration Source", "service": "Sync Service", "tenant": "Tenant", "token": "Join Token", "operator": "Operator",
	"authority": "Certificate Authority", "root": "Certificate Authority", "gateway": "Gateway", "platform": "Platform", "identity": "Device",
}

// managed is what an event about the management of something says.
func managed(r *Record, e *adminv1.Event) {
	noun, _, _ := strings.Cut(e.GetType(), ".")
	d := e.GetDetails()
	entity := &Entity{Type: cmp.Or(entities[noun], title(noun)), Name: cmp.Or(d["name"], d[noun])}
	switch noun {
	case "source":
		entity.UID = e.GetSourceId()
	case "service":
		entity.UID, entity.Name = e.GetServiceId(), cmp.Or(d["component_id"], entity.Name)
	case "tenant", "platform":
		entity.UID, entity.Name = e.GetTenantId(), e.GetTenant()
	case "identity":
		entity.UID, entity.Name = d["device"], ""
		if entity.UID == "" {
			entity.Type, entity.UID, entity.Name = "Inventory", e.GetTenantId(), e.GetTenant()
		}
	default:
		entity.UID = cmp.Or(d["token_id"], d["key_id"], d["serial"], d["cert_serial"], d["id"])
	}
	if entity.UID == "" && entity.Name == "" {
		// The schema wants one of the two: what the event is about is in its message.
		entity.Name = cmp.Or(e.GetMessage(), noun, "edgesync")
	}
	r.Entity = entity
	r.StatusID, r.Status = 1, "Success"
	if e.GetType() == "source.failing" {
		r.StatusID, r.Status = 2, "Failure"
	}
}

// refusedLogon is an identity that was not let in.
func refusedLogon(r *Record, e *adminv1.Event) {
	d := e.GetDetails()
	remote := true
	r.User, r.Service, r.IsRemote = userOf(cmp.Or(d["identity"], d["component"], e.GetActor())), &Service{Name: serviceOf(e.GetOrigin())}, &remote
	r.SrcEndpoint = endpointOf(d["address"])
	r.StatusID, r.Status, r.Detail = 2, "Failure", d["reason"]
}

func serviceOf(origin string) string {
	switch origin {
	case "ca":
		return "enrolment-ca"
	case "api":
		return "admin-api"
	}
	return "agent-gateway"
}

// finding is an identity that was let in and tried what it may not.
func finding(r *Record, e *adminv1.Event) {
	r.Finding = &Finding{UID: e.GetId(), Title: cmp.Or(e.GetMessage(), e.GetType()), Types: []string{e.GetType()}}
	r.StatusID, r.Status = 1, "New"
}

// inventory is what became of one device.
func inventory(r *Record, e *adminv1.Event) {
	r.Device = &Device{UID: e.GetDetails()["device"], TypeID: 0, Type: "Unknown"}
	r.StatusID, r.Status = 1, "Success"
}
