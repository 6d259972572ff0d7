package cmdutil

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// encodeJSON writes value with escapes for every rune that does not print, so
// that a document shown on a terminal is as harmless as a table and still says
// exactly what is stored.
func encodeJSON(value any, indent string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return escapeUnprinted(bytes.TrimSuffix(b.Bytes(), []byte("\n")), jsonEscape), nil
}

// encodeYAML writes value with the keys and the order of its JSON.
func encodeYAML(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	decoder := json.NewDecoder(&b)
	decoder.UseNumber()
	node, err := yamlNode(decoder)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	text, err := yaml.Marshal(node)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return escapeUnprinted(text, yamlEscape), nil
}

func yamlNode(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch value := token.(type) {
	case json.Delim:
		return yamlContainer(decoder, value)
	case string:
		return yamlString(value), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: value.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(value)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	}
}

func yamlContainer(decoder *json.Decoder, open json.Delim) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if open == '{' {
		node.Kind = yaml.MappingNode
	}
	for decoder.More() {
		child, err := yamlNode(decoder)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle
	}
	_, err := decoder.Token()
	return node, err
}

// yamlString quotes what has runes to escape: only a double-quoted scalar has
// escapes.
func yamlString(value string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	if !isPlain(value) {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}

func escapeUnprinted(text []byte, escape func(rune) string) []byte {
	if bytes.IndexFunc(text, unprinted) < 0 {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if unprinted(r) {
			b.WriteString(escape(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

func unprinted(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

func jsonEscape(r rune) string {
	if r < 0x10000 {
		return `\u` + hex(uint32(r), 4)
	}
	high, low := utf16.EncodeRune(r)
	return `\u` + hex(uint32(high), 4) + `\u` + hex(uint32(low), 4)
}

func yamlEscape(r rune) string {
	if r < 0x10000 {
		return `\u` + hex(uint32(r), 4)
	}
	return `\U` + hex(uint32(r), 8)
}

// writeItem writes one element of a streamed list, indented under its bracket
// or dash.
func writeItem(w io.Writer, prefix, indent string, text []byte) error {
	lines := strings.TrimSuffix(string(text), "\n")
	_, err := io.WriteString(w, prefix+strings.ReplaceAll(lines, "\n", "\n"+indent))
	return err
}
