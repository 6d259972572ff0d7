// Command available ends with 0 where tests on PostgreSQL find a server.
package main

import (
	"os"

	"edgesync/store/postgres/pgtest"
)

func main() {
	if !pgtest.Available() {
		os.Exit(1)
	}
}
