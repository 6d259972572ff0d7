package cmd

import (
	"strings"

	"github.com/spf13/cobra"

	"edgesync/cmd/cmdutil"
)

// shells are how each shell's script is loaded.
var shells = map[string]struct{ long, example string }{
	"bash": {
		long: `Print the completion script for bash. It needs the package bash-completion. The first line below loads it into this
shell, the second for every new one.`,
		example: `  source <(edgesync completion bash)
  edgesync completion bash | sudo tee /etc/bash_completion.d/edgesync >/dev/null`,
	},
	"zsh": {
		long:    `Print the completion script for zsh. New shells load it from any folder of $fpath, once compinit has run.`,
		example: `  edgesync completion zsh | sudo tee /usr/local/share/zsh/site-functions/_edgesync >/dev/null`,
	},
	"fish": {
		long:    `Print the completion script for fish. New shells load it from the folder below.`,
		example: `  edgesync completion fish > ~/.config/fish/completions/edgesync.fish`,
	},
	"powershell": {
		long:    `Print the completion script for PowerShell. Load it from the profile.`,
		example: `  edgesync completion powershell > edgesync.ps1`,
	},
}

// addHelp adds the command that prints the help of another, and refuses one that
// is not there.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		help.Example = "  edgesync help source add"
		help.Args = func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err == nil && len(rest) == 0 {
				return nil
			}
			if found == nil {
				found = root
			}
			return cmdutil.Usagef("no help on %q: see `%s --help`", strings.Join(args, " "), found.CommandPath())
		}
	}
}

// addCompletion adds the commands that print completion scripts.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, group := range root.Commands() {
		if group.Name() != "completion" {
			continue
		}
		cmdutil.OnlyVerbs(group)
		for _, shell := range group.Commands() {
			shell.Args = cmdutil.NoArgs
			if text, known := shells[shell.Name()]; known {
				shell.Long, shell.Example = text.long, text.example
			}
		}
	}
}
