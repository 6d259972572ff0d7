package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)`)
	linkName   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	codeSpan   = regexp.MustCompile("`[^`\n]+`")
)

// allPages are the pages people write and those that are generated.
func allPages(t *testing.T) []string {
	found := pages(t)
	more, err := filepath.Glob("../docs/*/*.md")
	must(t, err)
	for _, path := range more {
		if page := filepath.ToSlash(strings.TrimPrefix(path, "../")); !slices.Contains(found, page) {
			found = append(found, page)
		}
	}
	return found
}

// prose is a page without its fenced blocks, line by line.
func prose(page string) []string {
	var found []string
	open := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			open = !open
			line = ""
		}
		if open {
			line = ""
		}
		found = append(found, strings.TrimSuffix(line, "\n"))
	}
	return found
}

// anchors are the names a page's headings can be linked by, as the forges make
// them.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, line := range prose(page) {
		heading := strings.TrimLeft(line, "#")
		if level := len(line) - len(heading); level == 0 || level > 6 || !strings.HasPrefix(heading, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(linkName.ReplaceAllString(heading, "$1")))
		found[name] = true
	}
	return found
}

// TestLinksLeadSomewhere follows each link of the pages that stays in the
// repository, to its heading too.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range allPages(t) {
		text := readPage(t, page)
		for number, line := range prose(text) {
			for _, match := range linkTarget.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				if problem := follow(page, text, match[1]); problem != "" {
					t.Errorf("%s:%d: link to %s: %s", page, number+1, match[1], problem)
				}
			}
		}
	}
}

// follow says what is wrong with a link of a page.
func follow(page, text, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	path, anchor, _ := strings.Cut(target, "#")
	if path != "" {
		full := filepath.Join("..", filepath.Dir(page), path)
		info, err := os.Stat(full)
		if err != nil {
			return "there is no such file"
		}
		if relative, err := filepath.Rel("..", full); err != nil || strings.HasPrefix(relative, "..") {
			return "it leaves the repository"
		}
		if anchor == "" || info.IsDir() {
			return ""
		}
		data, err := os.ReadFile(full)
		if err != nil {
			return err.Error()
		}
		text = string(data)
	}
	if anchor != "" && !anchors(text)[anchor] {
		return "there is no such heading"
	}
	return ""
}

// TestEveryPageIsReached follows the links from the README, and the index of the
// docs, to every page.
func TestEveryPageIsReached(t *testing.T) {
	reached := map[string]bool{}
	var visit func(page string)
	visit = func(page string) {
		if reached[page] {
			return
		}
		reached[page] = true
		data, err := os.ReadFile(filepath.Join("..", page))
		if err != nil {
			return // The other test says so.
		}
		for _, match := range linkTarget.FindAllStringSubmatch(string(data), -1) {
			path, _, _ := strings.Cut(match[1], "#")
			if strings.HasSuffix(path, ".md") && !strings.Contains(path, "://") {
				visit(filepath.ToSlash(filepath.Join(filepath.Dir(page), path)))
			}
		}
	}
	visit("README.md")
	for _, page := range allPages(t) {
		// The decisions are a folder to look into.
		if !reached[page] && !strings.HasPrefix(page, "docs/decisions/") {
			t.Errorf("%s: no link from the README leads there: name it in docs/README.md", page)
		}
	}
}

// TestCommandsOnPagesExist reads every command line of edgesync on a page, in a
// block and in running text, and holds it to the commands and flags there are.
func TestCommandsOnPagesExist(t *testing.T) {
	root := commandTree()
	for _, page := range pages(t) {
		text := readPage(t, page)
		for _, b := range readBlocks(text) {
			if b.language == "sh" || b.language == "console" || b.language == "yaml" {
				for _, line := range lines(b.text) {
					checkCommands(t, root, page, b.line, line)
				}
			}
		}
		for number, line := range prose(text) {
			for _, span := range codeSpan.FindAllString(line, -1) {
				checkCommands(t, root, page, number+1, strings.Trim(span, "`"))
				checkLoneFlag(t, root, page, number+1, strings.Trim(span, "`"))
			}
		}
	}
	for _, c := range commands(root) {
		for _, line := range lines(c.Example) {
			checkCommands(t, root, c.CommandPath()+" --help", 0, line)
		}
	}
}

var (
	// invocation is where a command of edgesync begins: as a word of its own that
	// names no file, up to what ends a command in a shell.
	invocation = regexp.MustCompile(`(?:^|[\s($;|&])(?:sudo |bin/|exec )?edgesync((?:\s+(?:"[^"]*"|'[^']*'|[^\s|;&<>()]+))+)`)
	word       = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
)

func checkCommands(t *testing.T, root *cobra.Command, page string, line int, text string) {
	for _, match := range invocation.FindAllStringSubmatch(text, -1) {
		args := word.FindAllString(match[1], -1)
		if problem := problemOf(root, args); problem != "" {
			t.Errorf("%s:%d: edgesync%s: %s", page, line, match[1], problem)
		}
	}
}

// problemOf walks a command line: verbs first, then flags of that command.
func problemOf(root *cobra.Command, args []string) string {
	at, verbs := root, true
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			next := child(at, arg)
			switch {
			case next != nil && verbs:
				at = next
			case verbs && at.HasSubCommands() && isWord(arg):
				return "there is no command " + arg
			default:
				verbs = false
			}
			continue
		}
		name, _, inline := strings.Cut(arg, "=")
		flag := flagOf(at, name)
		if flag == nil {
			return at.CommandPath() + " has no flag " + name
		}
		if flag.NoOptDefVal == "" && !inline && flag.Name != "help" {
			i++ // Its value.
		}
	}
	return ""
}

func child(of *cobra.Command, name string) *cobra.Command {
	for _, c := range of.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

func isWord(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) < 0
}

func flagOf(c *cobra.Command, name string) *pflag.Flag {
	if name == "--help" || name == "-h" {
		return &pflag.Flag{Name: "help"}
	}
	for _, set := range []*pflag.FlagSet{c.Flags(), c.InheritedFlags(), c.PersistentFlags()} {
		if long, ok := strings.CutPrefix(name, "--"); ok {
			if flag := set.Lookup(long); flag != nil {
				return flag
			}
		} else if flag := set.ShorthandLookup(strings.TrimPrefix(name, "-")); flag != nil {
			return flag
		}
	}
	return nil
}

// checkLoneFlag wants a flag that is mentioned by itself to be one of some command.
func checkLoneFlag(t *testing.T, root *cobra.Command, page string, line int, text string) {
	name, _, _ := strings.Cut(strings.Fields(text + " ")[0], "=")
	if !strings.HasPrefix(name, "--") || foreignFlags[name] {
		return
	}
	for _, c := range commands(root) {
		if flagOf(c, name) != nil {
			return
		}
	}
	t.Errorf("%s:%d: no command has a flag %s", page, line, name)
}

// foreignFlags are flags of other programs that pages mention.
var foreignFlags = map[string]bool{
	"--replace": true, "--root": true, // install.sh
}
