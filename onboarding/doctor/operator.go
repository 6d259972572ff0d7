package doctor

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"edgesync/certs"
	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

const checkPlatform = "platform"

// ExamineOperator looks at an operator's identity in a folder, and at its way to
// the administration API at an address.
func ExamineOperator(ctx context.Context, options Options, server, dir string) []Finding {
	e := newExamination(options)
	e.server, e.addr, e.paths = "administration API", server, onboarding.PathsIn(dir)
	e.mendAddr, e.mendName = "--server", "--server"
	e.again = "have the platform's administrator add the operator again (`edgesync operator add`)"
	return e.run(ctx, []step{
		{checkKey, e.checkKey}, {checkCertificate, e.checkCertificate}, {checkName, e.checkOperator},
		{checkTrust, e.checkTrust}, {checkCA, e.checkCA}, {checkReach, e.checkReach},
		{checkTLS, e.checkTLS}, {checkPlatform, e.checkPlatform},
	})
}

func (e *examination) checkOperator(context.Context) bool {
	named, err := certs.ReadLeaf(e.identity.Chain[0])
	switch {
	case err != nil:
		e.add(checkName, Problem, err.Error(), e.again)
		return false
	case named.Type != certs.TypeOperator:
		e.add(checkName, Problem, fmt.Sprintf("it is that of a %s, %s", named.Type, named.SPIFFE()), "name the folder of an operator's identity with --identity")
		return false
	}
	e.serverName = "agent-gateway." + named.TrustDomain
	e.add(checkName, OK, "it is "+named.SPIFFE(), "")
	return true
}

// checkPlatform makes the least call there is: every operator may.
func (e *examination) checkPlatform(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+e.addr, grpc.WithTransportCredentials(credentials.NewTLS(e.tls)))
	if err != nil {
		e.add(checkPlatform, Problem, err.Error(), "mend "+e.mendAddr)
		return false
	}
	defer func() { _ = conn.Close() }()
	answer, err := adminv1.NewAdminClient(conn).GetPlatform(ctx, &adminv1.GetPlatformRequest{})
	if err != nil {
		e.add(checkPlatform, Problem, answered(err), mendCall(err))
		return false
	}
	e.add(checkPlatform, OK, "it answers; gateway "+answer.GetGatewayAddr(), "")
	return true
}
