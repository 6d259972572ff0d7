// Command generate writes the pages of docs that are derived from the code: the
// coverage of the promises and the command reference. It runs in the
// repository's root.
package main

import (
	"errors"
	"fmt"
	"os"

	"edgesync/cmd"
)

func main() {
	if err := errors.Join(writeCoverage("."), cmd.WriteReference("docs/cli")); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
