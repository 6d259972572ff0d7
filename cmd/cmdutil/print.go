package cmdutil

import (
	"fmt"
	"io"
	"strings"
)

// Column is one column of a list, and one line of a single thing.
type Column[T any] struct {
	Title string
	Value func(T) string
	// Style, if set, gives the SGR style of the value ("" for none).
	Style func(T) string
}

// Printer writes a list.
type Printer[T any] struct {
	io      *IOStreams
	format  Format
	columns []Column[T]
	table   *table
	count   int
}

// NewPrinter writes items of T to the output stream: a JSON array, a YAML
// sequence or a table of columns. Close must be called.
func NewPrinter[T any](streams *IOStreams, format Format, columns []Column[T]) *Printer[T] {
	p := &Printer[T]{io: streams, format: format, columns: columns}
	if format.Human() {
		titles := make([]string, len(columns))
		for i, column := range columns {
			titles[i] = column.Title
		}
		p.table = newTable(streams, titles)
	}
	return p
}

// Add writes one item.
func (p *Printer[T]) Add(item T) error {
	defer func() { p.count++ }()
	switch p.format {
	case FormatJSON:
		text, err := encodeJSON(item, "  ")
		if err != nil {
			return err
		}
		prefix := ",\n  "
		if p.count == 0 {
			prefix = "[\n  "
		}
		return writeItem(p.io.Out, prefix, "  ", text)
	case FormatYAML:
		text, err := encodeYAML(item)
		if err != nil {
			return err
		}
		if err := writeItem(p.io.Out, "- ", "  ", text); err != nil {
			return err
		}
		_, err = io.WriteString(p.io.Out, "\n")
		return err
	default:
		if p.io.Plain {
			return writeSentence(p.io, p.columns, item)
		}
		return p.table.add(cells(p.columns, item))
	}
}

// writeSentence writes an item as one line: what each value is, and the value.
func writeSentence[T any](streams *IOStreams, columns []Column[T], item T) error {
	var words []string
	for i, one := range cells(columns, item) {
		if one.text != "" {
			words = append(words, strings.ToLower(columns[i].Title)+" "+one.text)
		}
	}
	_, err := fmt.Fprintln(streams.Out, strings.Join(words, ", ")+".")
	return err
}

// Close ends the list.
func (p *Printer[T]) Close() error {
	end := ""
	switch {
	case p.format == FormatJSON && p.count == 0, p.format == FormatYAML && p.count == 0:
		end = "[]\n"
	case p.format == FormatJSON:
		end = "\n]\n"
	case p.format.Human() && p.io.Plain && p.count == 0:
		end = "None.\n"
	case p.format.Human() && p.io.Plain:
		return nil
	case p.format.Human():
		return p.table.close()
	}
	_, err := io.WriteString(p.io.Out, end)
	return err
}

// PrintList writes items that are already at hand.
func PrintList[T any](streams *IOStreams, format Format, columns []Column[T], items []T) error {
	printer := NewPrinter(streams, format, columns)
	for _, item := range items {
		if err := printer.Add(item); err != nil {
			return err
		}
	}
	return printer.Close()
}

// PrintOne writes a single thing: a document, or a line for each column that
// has a value.
func PrintOne[T any](streams *IOStreams, format Format, columns []Column[T], item T) error {
	if !format.Human() {
		return PrintDocument(streams, format, item)
	}
	return writeFields(streams, columns, item)
}

// PrintDone tells what a command did: one sentence for a person, a document for
// a program.
func PrintDone(streams *IOStreams, format Format, document any, sentence string, args ...any) error {
	if !format.Human() {
		return PrintDocument(streams, format, document)
	}
	_, err := fmt.Fprintln(streams.Out, Neutralise(fmt.Sprintf(sentence, args...)))
	return err
}

// PrintDocument writes value as JSON or YAML.
func PrintDocument(streams *IOStreams, format Format, value any) error {
	encode := func(value any) ([]byte, error) { return encodeJSON(value, "  ") }
	if format == FormatYAML {
		encode = encodeYAML
	}
	text, err := encode(value)
	if err != nil {
		return err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	_, err = streams.Out.Write(text)
	return err
}

// PrintLine writes value as one line of JSON, or as one YAML document: for
// streams that have no end.
func PrintLine(streams *IOStreams, format Format, value any) error {
	if format == FormatYAML {
		text, err := encodeYAML(value)
		if err != nil {
			return err
		}
		_, err = streams.Out.Write(append([]byte("---\n"), text...))
		return err
	}
	text, err := encodeJSON(value, "")
	if err != nil {
		return err
	}
	_, err = streams.Out.Write(append(text, '\n'))
	return err
}

func cells[T any](columns []Column[T], item T) []cell {
	row := make([]cell, len(columns))
	for i, column := range columns {
		row[i].text = Neutralise(column.Value(item))
		if column.Style != nil {
			row[i].style = column.Style(item)
		}
	}
	return row
}
