package cmdutil

import (
	"strings"

	"github.com/spf13/cobra"
)

// Args wants exactly the named positional arguments, and names the one that is
// missing.
func Args(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return Usagef("missing %s: usage is `%s`", names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			// The surplus is not repeated: it might be a secret given in the wrong place.
			return Usagef("too many arguments: usage is `%s`", cmd.UseLine())
		}
		for i, arg := range args {
			if strings.TrimSpace(arg) == "" {
				return Usagef("empty %s: usage is `%s`", names[i], cmd.UseLine())
			}
		}
		return nil
	}
}

// NoArgs wants none.
var NoArgs = Args()

// KeyValue splits "key=value".
func KeyValue(flag, text string) (key, value string, err error) {
	key, value, found := strings.Cut(text, "=")
	if key = strings.TrimSpace(key); !found || key == "" {
		return "", "", Usagef("--%s %q: want KEY=VALUE", flag, text)
	}
	return key, value, nil
}
