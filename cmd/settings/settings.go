// Package settings fills the flags of a command from a file, the environment and
// the command line, in that order of strength, and remembers where each value
// came from. It knows no setting by name: whatever flag a command declares is a
// key of its file and a variable of its environment.
package settings

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Origin is the layer a value came from.
type Origin string

// The layers, weakest first.
const (
	Default     Origin = "default"
	FromFile    Origin = "file"
	Environment Origin = "environment"
	CommandLine Origin = "flag"
)

// Value is one setting as it holds.
type Value struct {
	// Flag is its name on the command line, Key in the file, Env in the environment.
	Flag, Key, Env string
	// List holds the value of a list, Text that of anything else.
	Text string
	List []string
	// IsList tells which of the two holds.
	IsList bool
	Origin Origin
	// Where is the place in its layer: "--listen", "EDGESYNC_LISTEN" or
	// "/etc/edgesync/serve.yaml:3"; empty for a default.
	Where string
	// Live tells that a running process takes a change of it.
	Live bool
}

// String is the value on one line.
func (v Value) String() string {
	if v.IsList {
		return strings.Join(v.List, ", ")
	}
	return v.Text
}

// Same tells whether two values are equal, wherever they came from.
func (v Value) Same(other Value) bool {
	return v.Text == other.Text && slices.Equal(v.List, other.List)
}

// Values are the settings of a command, in the order of their names.
type Values []Value

// Get is the setting of a flag.
func (v Values) Get(flag string) Value {
	for _, value := range v {
		if value.Flag == flag {
			return value
		}
	}
	return Value{}
}

const (
	live   = "edgesync_live"
	notSet = "edgesync_not_a_setting"
)

// Live marks flags whose change a running process takes.
func Live(flags *pflag.FlagSet, names ...string) { mark(flags, live, names) }

// Exclude marks flags that are no settings: they can only stand on the command
// line.
func Exclude(flags *pflag.FlagSet, names ...string) { mark(flags, notSet, names) }

func mark(flags *pflag.FlagSet, as string, names []string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, as, []string{}); err != nil {
			panic(err) // a misspelt name in the program itself
		}
	}
}

// Key is a flag's name in a file.
func Key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// Env is a flag's name in the environment.
func Env(flag string) string { return "EDGESYNC_" + strings.ToUpper(Key(flag)) }

// Load sets every flag that was not set on the command line from the environment
// or else from the file. An environment variable that is empty is none. A key in
// the file that is no flag is an error, as is a value that its flag does not take.
func Load(flags *pflag.FlagSet, file *File, env func(string) (string, bool)) (Values, error) {
	var found Values
	var failure error
	flags.VisitAll(func(flag *pflag.Flag) {
		if _, no := flag.Annotations[notSet]; no || flag.Name == "help" || failure != nil {
			return
		}
		value := Value{Flag: flag.Name, Key: Key(flag.Name), Env: Env(flag.Name), Origin: Default}
		_, value.Live = flag.Annotations[live]
		if failure = fill(flag, &value, file, env); failure == nil {
			found = append(found, value)
		}
	})
	if failure != nil {
		return nil, failure
	}
	return found, file.refuseUnknown(found)
}

func fill(flag *pflag.Flag, value *Value, file *File, env func(string) (string, bool)) error {
	list, isList := flag.Value.(pflag.SliceValue)
	text, inEnv := env(value.Env)
	entry, inFile := file.entry(value.Key)
	var err error
	switch {
	case flag.Changed:
		value.Origin, value.Where = CommandLine, "--"+flag.Name
	case inEnv && text != "":
		value.Origin, value.Where = Environment, value.Env
		if isList {
			err = list.Replace(split(text))
		} else {
			err = flag.Value.Set(text)
		}
	case inFile:
		value.Origin, value.Where = FromFile, fmt.Sprintf("%s:%d", file.Path, entry.line)
		switch {
		case isList:
			err = list.Replace(entry.items)
		case entry.isList:
			err = fmt.Errorf("it is a list, and one value is wanted")
		default:
			err = flag.Value.Set(entry.items[0])
		}
	}
	if err != nil {
		return fmt.Errorf("read %s from %s: %w", value.Key, value.Where, err)
	}
	if value.IsList = isList; isList {
		value.List = list.GetSlice()
	} else {
		value.Text = flag.Value.String()
	}
	return nil
}

// split reads a list as the environment holds it.
func split(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Copy sets the flags in to that were set in from on the command line.
func Copy(to, from *pflag.FlagSet) error {
	var failure error
	from.Visit(func(flag *pflag.Flag) {
		if failure != nil || to.Lookup(flag.Name) == nil {
			return
		}
		target := to.Lookup(flag.Name)
		target.Changed = true
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			failure = target.Value.(pflag.SliceValue).Replace(list.GetSlice())
			return
		}
		failure = target.Value.Set(flag.Value.String())
	})
	return failure
}

// ReadableByAll tells whether everybody on the host may read a file of this mode.
func ReadableByAll(mode fs.FileMode) bool { return mode.Perm()&0o004 != 0 }
