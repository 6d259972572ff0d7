package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"edgesync/cmd/cmdutil"
)

// entry is one thing to ask for by its number or its word. What it does are the
// commands that everybody has.
type entry struct {
	word, does string
	// questions are asked first; the answers to those that are answered go behind
	// the command with their flag.
	questions []question
	command   []string
}

// question is asked before a command: of a flag, or with none of an argument.
type question struct{ text, flag string }

const (
	listed  = "20"
	wordEnd = "quit"
)

// entries are the pages first, in the order in which they are drawn.
var entries = []entry{
	{word: "overview", does: "how the platform stands"},
	{word: "integrations", does: "the sources and their last runs", command: []string{"source", "list"}},
	{word: "services", does: "the sync services", command: []string{"service", "list"}},
	{word: "devices", does: "search devices", command: []string{"device", "list", "--limit", listed}, questions: []question{
		{"Part of an address, MAC, hostname or id; Enter for any", "search"},
	}},
	{word: "events", does: "the latest events", command: []string{"event", "list", "--limit", listed}},
	{word: "tenants", does: "the tenants", command: []string{"tenant", "list"}},
	{word: "add service", does: "add an edge sync service", command: []string{"onboard", "--accessible"}},
	{word: "new source", does: "add a source", command: []string{"source", "add"}, questions: []question{{"Name of the source", ""}}},
	{word: "test source", does: "test a source where it runs", command: []string{"source", "test"}, questions: []question{{"Name of the source", ""}}},
	{word: "sync source", does: "run a source at once", command: []string{"source", "sync-now"}, questions: []question{{"Name of the source", ""}}},
	{word: "device", does: "why a device is what it is", command: []string{"device", "show", "--why"}, questions: []question{{"Id of the device", ""}}},
}

// accessible asks plain questions line by line, which a screen reader reads in
// their order, and runs commands that print plain lines.
func accessible(ctx context.Context, opts *Options) error {
	if !opts.CanPrompt() {
		return cmdutil.Usagef("open the dashboard: there is nobody to ask: use the other commands, each has --output json")
	}
	client, err := opts.Admin(ctx)
	if err != nil {
		return err
	}
	opts.IO.Plain = true
	opts.IO.Tellf("edgesync, in plain lines. Answer with a number, its word, or a command such as: source show NAME.")
	tellEntries(opts)
	for {
		answer, err := opts.Ask("What now", "")
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF) || answer == wordEnd || answer == "q":
			return nil
		case err != nil:
			return err
		case answer == "":
			continue
		case answer == "help" || answer == "?":
			tellEntries(opts)
			continue
		}
		if chosen, ok := find(answer); ok && chosen.command == nil {
			err = overview(ctx, opts, client)
		} else {
			err = carryOut(ctx, opts, chosen, answer)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			opts.IO.Tellf("That did not work: %s", cmdutil.ErrorLine(err))
		}
	}
}

func tellEntries(opts *Options) {
	for i, e := range entries {
		opts.IO.Tellf("%d, %s: %s.", i+1, e.word, e.does)
	}
	opts.IO.Tellf("help: this list. %s: end.", wordEnd)
}

func find(answer string) (entry, bool) {
	for i, e := range entries {
		if answer == e.word || answer == fmt.Sprint(i+1) {
			return e, true
		}
	}
	return entry{}, false
}

// carryOut runs what was chosen, or the answer itself as a command.
func carryOut(ctx context.Context, opts *Options, chosen entry, answer string) error {
	args := append([]string{}, chosen.command...)
	if len(args) == 0 {
		words, err := words(answer)
		if err != nil {
			return err
		}
		if words[0] == "edgesync" {
			words = words[1:]
		}
		return opts.Again(ctx, words...)
	}
	for _, q := range chosen.questions {
		said, err := opts.Ask(q.text, "")
		switch {
		case err != nil:
			return err
		case said == "" && q.flag == "":
			return cmdutil.Usagef("%s: nothing was answered", chosen.word)
		case said == "":
		case q.flag == "":
			args = append(args, said)
		default:
			args = append(args, "--"+q.flag, said)
		}
	}
	if opts.Tenant != "" && chosen.word != "tenants" {
		args = append(args, "--tenant", opts.Tenant)
	}
	return opts.Again(ctx, args...)
}

// words breaks a line as a shell does, quotes heeded.
func words(line string) ([]string, error) {
	var found []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				found = append(found, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, cmdutil.Usagef("a quotation mark is not closed")
	}
	if begun {
		found = append(found, word.String())
	}
	if len(found) == 0 {
		return nil, errors.New("nothing was answered")
	}
	return found, nil
}
