// Command edgesync syncs device inventories to a platform of many tenants: it
// is the platform, the runtime on an edge host, and the administration of both.
package main

import (
	"os"

	"edgesync/cmd"
)

func main() {
	os.Exit(cmd.Main())
}
