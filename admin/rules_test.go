package admin

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// TestEveryCallHasARule walks the API as it is compiled: a call that is added
// without saying who may make it fails here, and is refused there.
func TestEveryCallHasARule(t *testing.T) {
	methods := adminv1.File_proto_admin_v1_admin_proto.Services().ByName("Admin").Methods()
	found := map[string]bool{}
	for i := range methods.Len() {
		method := methods.Get(i)
		name := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
		found[name] = true
		r, ok := rules[name]
		if !ok {
			t.Errorf("%s has no rule: say in rules.go who may call it", name)
			continue
		}
		checkRule(t, name, r, method)
	}
	for name := range rules {
		if !found[name] {
			t.Errorf("there is a rule for %s and no such call", name)
		}
	}
	if want := len(adminv1.Admin_ServiceDesc.Methods) + len(adminv1.Admin_ServiceDesc.Streams); len(found) != want {
		t.Errorf("walked %d calls of %d", len(found), want)
	}
}

func checkRule(t *testing.T, name string, r rule, method protoreflect.MethodDescriptor) {
	t.Helper()
	if !(core.OperatorView{Operator: core.Operator{Role: core.RoleAdmin}}).May(r.role) || (core.OperatorView{}).May(r.role) {
		t.Errorf("%s takes the role %q, which is none", name, r.role)
	}
	fields := method.Input().Fields()
	switch r.reach {
	case tenant:
		field := fields.ByName(r.field)
		if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
			t.Errorf("%s names its tenant by %q, which is no string of its request", name, r.field)
		}
	case local, platform, everyone:
		if r.reach == everyone && fields.ByName("tenant") != nil {
			t.Errorf("%s names a tenant and is not held to it", name)
		}
		if r.field != "" {
			t.Errorf("%s has a field and does not use it", name)
		}
	default:
		t.Errorf("%s has no reach", name)
	}
}

func TestARefusalSaysInWordsWhatWasRefused(t *testing.T) {
	for operation, want := range map[string]string{"CreateTenant": "create tenant", "Watch": "watch", "SetSourceEnabled": "set source enabled"} {
		if got := phrase(operation); got != want {
			t.Errorf("%s: %q", operation, got)
		}
	}
}
