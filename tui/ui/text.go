package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Clean makes text from outside harmless on one line: what does not print
// (control sequences, line ends, text direction marks) is shown as a dot in its
// place, and broken UTF-8 too.
func Clean(text string) string {
	for i, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return clean(text, i)
		}
	}
	return text
}

func clean(text string, from int) string {
	var b strings.Builder
	b.WriteString(text[:from])
	for _, r := range text[from:] {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r == utf8.RuneError || !unicode.IsPrint(r):
			b.WriteRune('·')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Fit makes clean text exactly width cells wide.
func Fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if n := ansi.StringWidth(text); n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	text = ansi.Truncate(text, width, "…")
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// Cut makes text at most width cells wide.
func Cut(text string, width int) string {
	if ansi.StringWidth(text) <= width {
		return text
	}
	return ansi.Truncate(text, max(width, 0), "…")
}

// Wrap breaks text into lines of at most width cells.
func Wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(width, 1), ""), "\n")
}

// WrapWords breaks text between words only, for what is copied from the screen. A
// word that has no room on a line is broken where that ends.
func WrapWords(text string, width int) []string {
	width = max(width, 1)
	lines := []string{""}
	for word := range strings.SplitSeq(text, " ") {
		last := lines[len(lines)-1]
		switch {
		case last == "" && len(lines) == 1:
			lines[0] = word
		case ansi.StringWidth(last)+1+ansi.StringWidth(word) <= width:
			lines[len(lines)-1] = last + " " + word
		default:
			lines = append(lines, word)
		}
		for ansi.StringWidth(lines[len(lines)-1]) > width {
			long := lines[len(lines)-1]
			lines[len(lines)-1] = ansi.Truncate(long, width, "")
			lines = append(lines, ansi.TruncateLeft(long, width, ""))
		}
	}
	return lines
}

// ErrorText is an error as a person reads it, without what gRPC puts around it.
func ErrorText(err error) string {
	if s, ok := status.FromError(err); ok && s.Message() != "" {
		return Clean(s.Message())
	}
	return Clean(err.Error())
}

// TimeOf is the zero time for one that is not set.
func TimeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil || t.GetSeconds() == 0 && t.GetNanos() == 0 {
		return time.Time{}
	}
	return t.AsTime()
}

// Ago is how long before now, or "never".
func Ago(stamp *timestamppb.Timestamp, now time.Time) string {
	t := TimeOf(stamp)
	if t.IsZero() {
		return "never"
	}
	return Age(now.Sub(t)) + " ago"
}

// Until is how long after now, or "expired".
func Until(stamp *timestamppb.Timestamp, now time.Time) string {
	t := TimeOf(stamp)
	switch {
	case t.IsZero():
		return "–"
	case !t.After(now):
		return "expired"
	}
	return "in " + Age(t.Sub(now))
}

// Age is a duration in its largest unit.
func Age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Stamp is when something was, in eight cells: the time of a day, or the day if
// that is another.
func Stamp(stamp *timestamppb.Timestamp, now time.Time) string {
	t := TimeOf(stamp).In(now.Location())
	switch {
	case t.IsZero():
		return "–       "
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("_2 Jan  ")
	}
	return t.Format("Jan 2006")
}

// Count groups the digits of a number in threes.
func Count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Bytes is an amount of data in its largest unit.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for ; value >= unit && prefix < len("KMGTPE")-1; prefix++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[prefix])
}

// Plural is "1 device" or "2 devices".
func Plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + one + "s"
}

var bars = []rune("▁▂▃▄▅▆▇█")

// Sparkline draws the last width values, the largest of them full height.
func Sparkline(values []float64, width int) string {
	values = values[max(0, len(values)-width):]
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	line := []rune(strings.Repeat(" ", width-len(values)))
	for _, v := range values {
		level := 0
		if top > 0 {
			level = int(v / top * float64(len(bars)-1))
		}
		line = append(line, bars[level])
	}
	return string(line)
}
