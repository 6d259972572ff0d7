package cmd

import (
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

// addCompletion adds the commands that print completion scripts.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, group := range root.Commands() {
		if group.Name() != "completion" {
			continue
		}
		cmdutil.OnlyVerbs(group)
		for _, shell := range group.Commands() {
			if text, known := shells[shell.Name()]; known {
				shell.Long, shell.Example = text.long, text.example
			}
		}
	}
}
