package cmdutil_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"edgesync/cmd/cmdutil"
)

type thing struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Tags  []string          `json:"tags"`
	Map   map[string]string `json:"map"`
	None  *int              `json:"none"`
}

var columns = []cmdutil.Column[thing]{
	{Title: "NAME", Value: func(t thing) string { return t.Name }},
	{Title: "COUNT", Value: func(t thing) string { return strconv.Itoa(t.Count) }},
	{Title: "TAGS", Value: func(t thing) string { return strings.Join(t.Tags, ",") }},
}

func printed(t testing.TB, format cmdutil.Format, things []thing) string {
	t.Helper()
	streams, out, _ := cmdutil.TestStreams("")
	if err := cmdutil.PrintList(streams, format, columns, things); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEmptyLists(t *testing.T) {
	for format, want := range map[cmdutil.Format]string{
		cmdutil.FormatJSON:  "[]\n",
		cmdutil.FormatYAML:  "[]\n",
		cmdutil.FormatTable: "NAME  COUNT  TAGS\n",
	} {
		if got := printed(t, format, nil); got != want {
			t.Errorf("%s of nothing is %q, want %q", format, got, want)
		}
	}
}

func TestTableLinesUp(t *testing.T) {
	got := printed(t, cmdutil.FormatTable, []thing{{Name: "a", Count: 1}, {Name: "日本", Count: 22, Tags: []string{"x"}}})
	want := "NAME  COUNT  TAGS\na     1\n日本  22     x\n"
	if got != want {
		t.Errorf("table is\n%swant\n%s", got, want)
	}
}

func TestTableStreamsLongLists(t *testing.T) {
	things := make([]thing, 1000)
	if lines := strings.Count(printed(t, cmdutil.FormatTable, things), "\n"); lines != 1001 {
		t.Errorf("table of 1000 has %d lines", lines)
	}
}

func TestTablesNeutraliseWhatCouldMoveTheCursor(t *testing.T) {
	evil := "a\x1b[2J\r\n\u202eb\u200b\x00\u0085\U000e0041"
	got := printed(t, cmdutil.FormatTable, []thing{{Name: evil}})
	if strings.Count(got, "\n") != 2 {
		t.Errorf("a name made new lines: %q", got)
	}
	if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("a name kept what does not print: %q", got)
	}
	if !strings.Contains(got, `a\x1b[2J\r\n\u202eb`) {
		t.Errorf("a name is not shown as escapes: %q", got)
	}
}

func TestDocumentsAreHarmlessAndExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		things := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) thing {
			text := rapid.StringOf(rapid.OneOf(
				rapid.Rune(),
				rapid.SampledFrom([]rune("\x00\x1b\x7f\u0085\u202e\u2028\ufeff\n\r\t\"\\:#- '{}[]\U000e0041")),
			))
			return thing{
				Name: text.Draw(rt, "name"), Count: rapid.Int().Draw(rt, "count"),
				Tags: rapid.SliceOfN(text, 0, 3).Draw(rt, "tags"),
				Map:  rapid.MapOfN(text, text, 0, 3).Draw(rt, "map"),
			}
		}), 0, 4).Draw(rt, "things")

		var fromJSON, fromYAML []thing
		document := printed(t, cmdutil.FormatJSON, things)
		if err := json.Unmarshal([]byte(document), &fromJSON); err != nil {
			rt.Fatalf("decode JSON %q: %v", document, err)
		}
		checkHarmless(rt, document)
		document = printed(t, cmdutil.FormatYAML, things)
		var generic any
		if err := yaml.Unmarshal([]byte(document), &generic); err != nil {
			rt.Fatalf("decode YAML %q: %v", document, err)
		}
		checkHarmless(rt, document)
		text, err := json.Marshal(generic)
		if err != nil {
			rt.Fatal(err)
		}
		if err := json.Unmarshal(text, &fromYAML); err != nil {
			rt.Fatalf("decode YAML as JSON %s: %v", text, err)
		}
		if !reflect.DeepEqual(normal(fromJSON), normal(things)) {
			rt.Fatalf("JSON gave %#v, want %#v", fromJSON, things)
		}
		if !reflect.DeepEqual(normal(fromYAML), normal(things)) {
			rt.Fatalf("YAML gave %#v, want %#v", fromYAML, things)
		}
	})
}

func checkHarmless(rt *rapid.T, document string) {
	if i := strings.IndexFunc(document, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		rt.Fatalf("document holds %q", document[i:min(i+8, len(document))])
	}
}

func normal(things []thing) []thing {
	out := []thing{}
	for _, t := range things {
		t.Tags = append([]string{}, t.Tags...)
		if t.Map == nil {
			t.Map = map[string]string{}
		}
		out = append(out, t)
	}
	return out
}

func TestColourOnlyWhereItIsTaken(t *testing.T) {
	streams, out, _ := cmdutil.TestStreams("")
	styled := []cmdutil.Column[thing]{{Title: "NAME", Value: func(t thing) string { return t.Name },
		Style: func(t thing) string { return cmdutil.StateStyle(t.Name) }}}
	for _, color := range []bool{false, true} {
		out.Reset()
		streams.Color = color
		if err := cmdutil.PrintList(streams, cmdutil.FormatTable, styled, []thing{{Name: "online"}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b["); got != color {
			t.Errorf("with colour %v the table is %q", color, out)
		}
	}
}

func TestStateDir(t *testing.T) {
	env := func(pairs ...string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	for _, test := range []struct {
		flag string
		env  func(string) (string, bool)
		uid  int
		want string
	}{
		{"/flag", env(), 0, "/flag"},
		{"", env("XDG_STATE_HOME", "/xdg"), 0, "/var/lib/edgesync"},
		{"", env("XDG_STATE_HOME", "/xdg", "HOME", "/home/u"), 1000, "/xdg/edgesync"},
		{"", env("HOME", "/home/u"), 1000, "/home/u/.local/state/edgesync"},
	} {
		got, err := cmdutil.StateDir(test.flag, test.env, test.uid)
		if err != nil || got != test.want {
			t.Errorf("state directory of %q as %d is %q (%v), want %q", test.flag, test.uid, got, err, test.want)
		}
	}
	if _, err := cmdutil.StateDir("", env(), 1000); cmdutil.ExitCode(err) != cmdutil.ExitUsage {
		t.Errorf("without any place: %v", err)
	}
}
