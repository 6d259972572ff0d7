package enroll

import (
	"context"
	"os/exec"
)

// runInstall runs the script of a package; what it says goes where messages go.
func (o *Options) runInstall(ctx context.Context, script string, args ...string) error {
	// Not the script itself: a directory for temporary files may forbid that.
	install := exec.CommandContext(ctx, "/bin/sh", append([]string{script}, args...)...)
	install.Stdout, install.Stderr = o.IO.Err, o.IO.Err
	return install.Run()
}
