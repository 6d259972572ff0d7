package e2e_test

import (
	"os"
	"testing"

	"edgesync/cmd"
)

// asProgram makes this test binary the program itself, for tests that kill it.
const asProgram = "EDGESYNC_E2E_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cmd.Main())
	}
	os.Exit(m.Run())
}
