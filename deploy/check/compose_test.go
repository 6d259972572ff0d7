package check

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func composed(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithProfiles([]string{"*"}), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose(t *testing.T) {
	project := composed(t)
	if got := project.ServiceNames(); !slices.Equal(got, []string{"bootstrap", "edge", "postgres", "serve-1", "serve-2"}) {
		t.Fatalf("services are %v", got)
	}
	for _, name := range []string{"bootstrap", "edge", "serve-1", "serve-2"} {
		service := project.Services[name]
		if !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") || service.User != "" || service.Privileged {
			t.Errorf("%s is not confined", name)
		}
		for key, value := range service.Environment {
			if !strings.HasPrefix(key, "EDGESYNC_") || value == nil {
				t.Errorf("%s: variable %s", name, key)
			}
		}
		// A password stands in no environment and on no command line.
		if url := service.Environment["EDGESYNC_DATABASE"]; url != nil && strings.Contains(strings.SplitN(*url, "@", 2)[0], "edgesync:") {
			t.Errorf("%s: there is a password in %s", name, *url)
		}
	}
	for _, name := range []string{"serve-1", "serve-2"} {
		service := project.Services[name]
		if !slices.Equal(service.Command, []string{"serve"}) || service.DependsOn["bootstrap"].Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s: %v after %v", name, service.Command, service.DependsOn)
		}
		if aliases := service.Networks["edge"].Aliases; !slices.Contains(aliases, "gateway.edgesync.internal") {
			t.Errorf("%s answers to %v", name, aliases)
		}
	}
	// An edge service reaches the gateway, and never the database.
	edge := project.Services["edge"]
	if _, ok := edge.Networks["platform"]; ok || len(edge.Networks) != 1 || len(edge.Environment) != 0 {
		t.Errorf("edge is in %v with %v", edge.Networks, edge.Environment)
	}
	if command := project.Services["bootstrap"].Command; !slices.Contains(command, "gateway.edgesync.internal:50052") {
		t.Errorf("bootstrap is %v", command)
	}
}
