// Package version says which build this is.
package version

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
)

// Build is this build.
type Build struct {
	Version   string     `json:"version"`
	Commit    string     `json:"commit"`
	Time      *time.Time `json:"time"`
	Modified  bool       `json:"modified"`
	GoVersion string     `json:"go_version"`
	OS        string     `json:"os"`
	Arch      string     `json:"arch"`
}

// Current reads what the linker and the go command left in the binary.
func Current() Build {
	build := Build{Version: cmdutil.Version, GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if cmdutil.Commit != "" || cmdutil.CommitTime != "" {
		build.Commit = cmdutil.Commit
		if at, err := time.Parse(time.RFC3339, cmdutil.CommitTime); err == nil {
			build.Time = &at
		}
		return build
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			build.Commit = setting.Value
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, setting.Value); err == nil {
				build.Time = &at
			}
		case "vcs.modified":
			build.Modified = setting.Value == "true"
		}
	}
	return build
}

// Options are what version needs.
type Options struct {
	*cmdutil.Factory
	Build Build
}

// NewCmdVersion makes version.
func NewCmdVersion(f *cmdutil.Factory, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{Factory: f}
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  edgesync version -o json",
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Build = Current()
			return cmdutil.Run(cmd, opts, runF, versionRun)
		},
	}
}

func versionRun(_ context.Context, opts *Options) error {
	b := opts.Build
	commit := b.Commit
	if len(commit) > 12 {
		commit = commit[:12]
	}
	if commit != "" {
		commit = ", commit " + commit
	}
	return cmdutil.PrintDone(opts.IO, opts.Format, b, "edgesync %s (%s, %s/%s%s)", b.Version, b.GoVersion, b.OS, b.Arch, commit)
}
