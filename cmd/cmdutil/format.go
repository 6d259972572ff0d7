package cmdutil

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"edgesync/proto/shell"
)

// Format is how a result is written. The zero value is a table.
type Format string

// The formats there are.
const (
	FormatTable Format = "table"
	FormatJSON  Format = "json"
	FormatYAML  Format = "yaml"
	// FormatOCSF is of events alone: a command that has it says so in its
	// Annotations.
	FormatOCSF Format = "ocsf"
)

// String is part of pflag.Value.
func (f *Format) String() string {
	if *f == "" {
		return string(FormatTable)
	}
	return string(*f)
}

// Set is part of pflag.Value.
func (f *Format) Set(text string) error {
	switch Format(text) {
	case FormatTable, FormatJSON, FormatYAML, FormatOCSF:
		*f = Format(text)
		return nil
	}
	return fmt.Errorf("want table, json or yaml")
}

// Type is part of pflag.Value.
func (f *Format) Type() string { return "format" }

// Human tells whether a person reads it.
func (f Format) Human() bool { return f == FormatTable || f == "" }

// Time is a time in a JSON document: RFC 3339 in UTC, null when absent.
func Time(t *timestamppb.Timestamp) *time.Time {
	if t == nil || (t.Seconds == 0 && t.Nanos == 0) {
		return nil
	}
	value := t.AsTime().UTC()
	if value.IsZero() {
		return nil
	}
	return &value
}

// List is a list in a JSON document: [] when empty, never null.
func List[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// Map is a map in a JSON document: {} when empty, never null.
func Map[V any](items map[string]V) map[string]V {
	if items == nil {
		return map[string]V{}
	}
	return items
}

// Duration is a duration as flags take it ("6h", "1m30s"), or "" when unset.
func Duration(d *durationpb.Duration) string {
	if d == nil || d.AsDuration() == 0 {
		return ""
	}
	return shell.Duration(d.AsDuration())
}

// Ago is a time for a table: how long before now, or "never".
func Ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	switch d := now.Sub(*t); {
	case d < 0:
		return t.Format(time.RFC3339)
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

// Date is a time for a table, to the second.
func Date(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

// YesNo is a boolean for a table.
func YesNo(value bool) string {
	if value {
		return "yes"
	}
	return "no"
}
