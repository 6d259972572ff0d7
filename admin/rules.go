package admin

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"edgesync/core"
	adminv1 "edgesync/proto/admin/v1"
)

// reach is where a call can be made from and how far it goes.
type reach int

const (
	// local is for callers on the platform's own machine.
	local reach = iota + 1
	// platform is for operators of the whole platform.
	platform
	// tenant is for operators of the whole platform, and for those of the one
	// tenant that the request names. To them a request that names none means
	// their own, and every other tenant is not there.
	tenant
	// everyone is for every operator; the answer holds what it may see.
	everyone
)

// rule says which operators may make a call. field is the request's field that
// holds the tenant's slug, for reach tenant.
type rule struct {
	role  core.Role
	reach reach
	field protoreflect.Name
}

// rules has one entry for each call. A call without one is refused.
var rules = map[string]rule{
	adminv1.Admin_Bootstrap_FullMethodName:        {core.RoleAdmin, local, ""},
	adminv1.Admin_IssueGateway_FullMethodName:     {core.RoleAdmin, local, ""},
	adminv1.Admin_IssueEnrolmentCA_FullMethodName: {core.RoleAdmin, local, ""},
	adminv1.Admin_GetPlatform_FullMethodName:      {core.RoleViewer, everyone, ""},

	adminv1.Admin_CreateTenant_FullMethodName:  {core.RoleAdmin, platform, ""},
	adminv1.Admin_SuspendTenant_FullMethodName: {core.RoleAdmin, platform, ""},
	adminv1.Admin_RemoveTenant_FullMethodName:  {core.RoleAdmin, platform, ""},
	adminv1.Admin_ListTenants_FullMethodName:   {core.RoleViewer, everyone, ""},
	adminv1.Admin_GetTenant_FullMethodName:     {core.RoleViewer, tenant, "slug"},

	adminv1.Admin_OnboardService_FullMethodName: {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_ListServices_FullMethodName:   {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_GetService_FullMethodName:     {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_RenameService_FullMethodName:  {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_RevokeService_FullMethodName:  {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_RemoveService_FullMethodName:  {core.RoleOperator, tenant, "tenant"},

	adminv1.Admin_CreateJoinToken_FullMethodName: {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_ListJoinTokens_FullMethodName:  {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_CancelJoinToken_FullMethodName: {core.RoleOperator, tenant, "tenant"},

	adminv1.Admin_CreateSource_FullMethodName:     {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_ListSources_FullMethodName:      {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_GetSource_FullMethodName:        {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_UpdateSource_FullMethodName:     {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_SetSourceEnabled_FullMethodName: {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_RemoveSource_FullMethodName:     {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_ImportSources_FullMethodName:    {core.RoleOperator, tenant, "tenant"},

	adminv1.Admin_SyncNow_FullMethodName:    {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_TestSource_FullMethodName: {core.RoleOperator, tenant, "tenant"},

	adminv1.Admin_ListDevices_FullMethodName:  {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_CountDevices_FullMethodName: {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_GetDevice_FullMethodName:    {core.RoleViewer, tenant, "tenant"},

	adminv1.Admin_ExplainDevice_FullMethodName:      {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_MergeDevices_FullMethodName:       {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_UnmergeDevice_FullMethodName:      {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_SplitDevice_FullMethodName:        {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_ListDuplicates_FullMethodName:     {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_SimulateRules_FullMethodName:      {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_ListRetractions_FullMethodName:    {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_ReleaseRetractions_FullMethodName: {core.RoleOperator, tenant, "tenant"},
	adminv1.Admin_RejectRetractions_FullMethodName:  {core.RoleOperator, tenant, "tenant"},

	adminv1.Admin_ListRuns_FullMethodName: {core.RoleViewer, tenant, "tenant"},
	// It has a source read.
	adminv1.Admin_TraceDevice_FullMethodName: {core.RoleOperator, tenant, "tenant"},

	adminv1.Admin_ExportEvents_FullMethodName: {core.RoleViewer, tenant, "tenant"},

	adminv1.Admin_ListEvents_FullMethodName: {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_TailEvents_FullMethodName: {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_Watch_FullMethodName:      {core.RoleViewer, tenant, "tenant"},

	adminv1.Admin_AddOperator_FullMethodName:    {core.RoleAdmin, tenant, "tenant"},
	adminv1.Admin_ListOperators_FullMethodName:  {core.RoleAdmin, tenant, "tenant"},
	adminv1.Admin_RevokeOperator_FullMethodName: {core.RoleAdmin, tenant, "tenant"},

	adminv1.Admin_ListCertificates_FullMethodName: {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_ListAuthorities_FullMethodName:  {core.RoleViewer, tenant, "tenant"},
	adminv1.Admin_RotateAuthority_FullMethodName:  {core.RoleAdmin, tenant, "tenant"},
	adminv1.Admin_RotateRoot_FullMethodName:       {core.RoleAdmin, platform, ""},

	adminv1.Admin_ListRestorations_FullMethodName:   {core.RoleViewer, platform, ""},
	adminv1.Admin_SettleRestorations_FullMethodName: {core.RoleAdmin, platform, ""},
}

// confine holds a request of an operator of one tenant to that tenant.
func (r rule) confine(request any, slug string) error {
	message, ok := request.(proto.Message)
	if !ok {
		return errUnruled
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName(r.field)
	if field == nil || field.Kind() != protoreflect.StringKind {
		return errUnruled
	}
	switch named := message.ProtoReflect().Get(field).String(); named {
	case slug:
	case "":
		message.ProtoReflect().Set(field, protoreflect.ValueOfString(slug))
	default:
		return core.NoTenant(named)
	}
	return nil
}
