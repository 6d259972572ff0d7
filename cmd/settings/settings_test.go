package settings_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"edgesync/cmd/settings"
)

type options struct {
	listen, level string
	allow         []string
	wait          time.Duration
	limit         int
}

func flagsOf(o *options) *pflag.FlagSet {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", ":1", "")
	flags.StringVar(&o.level, "log-level", "info", "")
	flags.StringSliceVar(&o.allow, "admin-allow", nil, "")
	flags.DurationVar(&o.wait, "wait", time.Second, "")
	flags.IntVar(&o.limit, "limit", 3, "")
	flags.String("config", "", "")
	settings.Exclude(flags, "config")
	settings.Live(flags, "log-level", "admin-allow")
	return flags
}

func parsed(t *testing.T, text string) *settings.File {
	t.Helper()
	file, err := settings.Parse("serve.yaml", 0o600, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		i := slices.Index(pairs, name)
		if i < 0 {
			return "", false
		}
		return pairs[i+1], true
	}
}

// TestStrength has one setting in each layer that may hold it, and the value of
// the strongest.
func TestStrength(t *testing.T) {
	const file = "# what a file holds\nlisten: \":2\"\nlog_level: warn\nadmin_allow: [10.0.0.0/8, 192.0.2.1]\nwait: 2m\nlimit: 9\n"
	for name, test := range map[string]struct {
		file  string
		env   []string
		args  []string
		want  options
		where []string
	}{
		"nothing":  {"", nil, nil, options{listen: ":1", level: "info", wait: time.Second, limit: 3}, []string{"", "", "", "", ""}},
		"the file": {file, nil, nil, options{":2", "warn", []string{"10.0.0.0/8", "192.0.2.1"}, 2 * time.Minute, 9}, []string{"serve.yaml:4", "serve.yaml:6", "serve.yaml:2", "serve.yaml:3", "serve.yaml:5"}},
		"the environment over the file": {file, []string{"EDGESYNC_LISTEN", ":3", "EDGESYNC_ADMIN_ALLOW", " ::1/128,, 10.1.0.0/16", "EDGESYNC_LIMIT", ""}, nil,
			options{":3", "warn", []string{"::1/128", "10.1.0.0/16"}, 2 * time.Minute, 9}, []string{"EDGESYNC_ADMIN_ALLOW", "serve.yaml:6", "EDGESYNC_LISTEN", "serve.yaml:3", "serve.yaml:5"}},
		"the command line over all": {file, []string{"EDGESYNC_LISTEN", ":3"}, []string{"--listen=", "--admin-allow=10.2.0.0/16", "--limit=1"},
			options{"", "warn", []string{"10.2.0.0/16"}, 2 * time.Minute, 1}, []string{"--admin-allow", "--limit", "--listen", "serve.yaml:3", "serve.yaml:5"}},
		"one value for a list": {"admin_allow: 10.0.0.1\n", nil, nil, options{":1", "info", []string{"10.0.0.1"}, time.Second, 3}, []string{"serve.yaml:1", "", "", "", ""}},
		"an empty list":        {"admin_allow: []\n", nil, nil, options{":1", "info", nil, time.Second, 3}, []string{"serve.yaml:1", "", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var got options
			flags := flagsOf(&got)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			values, err := settings.Load(flags, parsed(t, test.file), environment(test.env...))
			if err != nil {
				t.Fatal(err)
			}
			if got.listen != test.want.listen || got.level != test.want.level || !slices.Equal(got.allow, test.want.allow) || got.wait != test.want.wait || got.limit != test.want.limit {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			for i, value := range values {
				if value.Where != test.where[i] || value.Live != (value.Flag == "log-level" || value.Flag == "admin-allow") {
					t.Errorf("%s is from %q (live %v), want %q", value.Key, value.Where, value.Live, test.where[i])
				}
			}
			if len(values) != len(test.where) {
				t.Errorf("%d settings: %v", len(values), values)
			}
		})
	}
}

func TestFileThatCannotBeMeantIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"lisen: x":                     `serve.yaml:1: there is no setting "lisen": did you mean listen?`,
		"listen: x\nadmin-allow: []":   `serve.yaml:2: there is no setting "admin-allow": did you mean admin_allow?`,
		"LOG_LEVEL: x":                 `did you mean log_level?`,
		"config: x":                    `there is no setting "config"`,
		"zzzzzzzzzzzz: x":              "`edgesync serve config show` lists them",
		"listen: x\nlisten: y":         "listen is in line 1 already",
		"listen:":                      "listen has no value",
		"listen: {a: b}":               "listen is neither a value nor a list",
		"listen: [a]":                  "it is a list, and one value is wanted",
		"admin_allow: [[a]]":           "an item of admin_allow is no single value",
		"wait: soon":                   `read wait from serve.yaml:1: time: invalid duration "soon"`,
		"limit: many":                  "read limit from serve.yaml:1",
		"- listen":                     "it is no list of KEY: VALUE",
		"listen: x\n---\nlisten: y":    "more than one document",
		"listen: \"x":                  "serve.yaml: ",
		"? [a]\n: b":                   "a key is no word",
		"listen: &a x\nlog_level: *a ": "log_level is neither a value nor a list",
	} {
		var o options
		file, err := settings.Parse("serve.yaml", 0, []byte(text))
		if err == nil {
			_, err = settings.Load(flagsOf(&o), file, environment())
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestEnvironmentThatCannotBeMeantIsRefused(t *testing.T) {
	var o options
	_, err := settings.Load(flagsOf(&o), nil, environment("EDGESYNC_LIMIT", "many"))
	if err == nil || !strings.Contains(err.Error(), "read limit from EDGESYNC_LIMIT") {
		t.Error(err)
	}
}

func TestReadingNothing(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "null\n"} {
		if _, err := settings.Load(flagsOf(&options{}), parsed(t, text), environment()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := settings.Read(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(unwrapped(err)) {
		t.Error(err)
	}
}

func unwrapped(err error) error {
	if wrapper, ok := err.(interface{ Unwrap() error }); ok {
		return wrapper.Unwrap()
	}
	return err
}

// TestCopy carries over what stood on the command line, and nothing else.
func TestCopy(t *testing.T) {
	var from, to options
	flags, again := flagsOf(&from), flagsOf(&to)
	if err := flags.Parse([]string{"--admin-allow=a,b", "--wait=3s"}); err != nil {
		t.Fatal(err)
	}
	if err := settings.Copy(again, flags); err != nil {
		t.Fatal(err)
	}
	values, err := settings.Load(again, parsed(t, "wait: 9s\nlimit: 4\n"), environment())
	if err != nil || to.wait != 3*time.Second || !slices.Equal(to.allow, []string{"a", "b"}) || to.limit != 4 {
		t.Errorf("%+v, %v", to, err)
	}
	if values.Get("wait").Origin != settings.CommandLine || values.Get("limit").Origin != settings.FromFile {
		t.Error(values)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("listen: x\nadmin_allow: [a, b]\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := settings.Parse("serve.yaml", 0, []byte(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		var o options
		_, _ = settings.Load(flagsOf(&o), file, environment())
	})
}
