package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is far more than any file of settings takes.
const maxFile = 1 << 20

// File is a file of settings: one YAML mapping, each key a setting, each value a
// scalar or a list of scalars. A nil File has no settings.
type File struct {
	Path    string
	Mode    fs.FileMode
	entries []entry
}

type entry struct {
	key    string
	line   int
	items  []string
	isList bool
}

// Read reads the file at path. Its error is fs.ErrNotExist when there is none.
func Read(path string) (*File, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer func() { _ = opened.Close() }()
	info, err := opened.Stat()
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read settings %s: it is larger than %d bytes", path, maxFile)
	}
	return Parse(path, info.Mode(), data)
}

// Parse reads the text of a file of settings.
func Parse(path string, mode fs.FileMode, data []byte) (*File, error) {
	file := &File{Path: path, Mode: mode}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return file, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings %s: %w", path, plain(err))
	}
	if decoder.Decode(new(yaml.Node)) != io.EOF {
		return nil, fmt.Errorf("read settings %s: it holds more than one document", path)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return file, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("read settings %s:%d: it is no list of KEY: VALUE", path, root.Line)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		read, err := readEntry(root.Content[i], root.Content[i+1])
		if err == nil {
			if earlier, ok := file.entry(read.key); ok {
				err = fmt.Errorf("%s is in line %d already", read.key, earlier.line)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read settings %s:%d: %w", path, root.Content[i].Line, err)
		}
		file.entries = append(file.entries, read)
	}
	return file, nil
}

// plain is an error of the YAML reader on one line.
func plain(err error) error {
	return errors.New(strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
}

func readEntry(key, value *yaml.Node) (entry, error) {
	e := entry{key: key.Value, line: key.Line}
	if key.Kind != yaml.ScalarNode || key.Tag != "!!str" {
		return e, errors.New("a key is no word")
	}
	switch value.Kind {
	case yaml.ScalarNode:
		if value.Tag == "!!null" {
			return e, fmt.Errorf("%s has no value: leave the line out for the default, or write \"\" for none", e.key)
		}
		e.items = []string{value.Value}
	case yaml.SequenceNode:
		e.isList, e.items = true, []string{}
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return e, fmt.Errorf("an item of %s is no single value", e.key)
			}
			e.items = append(e.items, item.Value)
		}
	default:
		return e, fmt.Errorf("%s is neither a value nor a list of values", e.key)
	}
	return e, nil
}

func (f *File) entry(key string) (entry, bool) {
	if f == nil {
		return entry{}, false
	}
	for _, e := range f.entries {
		if e.key == key {
			return e, true
		}
	}
	return entry{}, false
}

// Text is the single value of a key, or empty.
func (f *File) Text(key string) string {
	if e, ok := f.entry(key); ok && !e.isList {
		return e.items[0]
	}
	return ""
}

// refuseUnknown names the first key that is no setting, and the one that was
// probably meant.
func (f *File) refuseUnknown(known Values) error {
	if f == nil {
		return nil
	}
	for _, e := range f.entries {
		keys := make([]string, len(known))
		for i, value := range known {
			keys[i] = value.Key
		}
		if err := refuse(e.key, keys); err != nil {
			return fmt.Errorf("read settings %s:%d: %w", f.Path, e.line, err)
		}
	}
	return nil
}

func refuse(key string, known []string) error {
	best, distance := "", len(key)/2+1
	for _, name := range known {
		if name == key {
			return nil
		}
		if d := apart(strings.ReplaceAll(strings.ToLower(key), "-", "_"), name); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		return fmt.Errorf("there is no setting %q: did you mean %s?", key, best)
	}
	return fmt.Errorf("there is no setting %q: `edgesync serve config show` lists them", key)
}

// apart is how many letters have to be added, left out or replaced to make one
// word the other.
func apart(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
