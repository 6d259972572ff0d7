package cmdutil

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

const (
	// mostBars are drawn at once: those that moved last.
	mostBars = 16
	// mostName is the widest name beside a bar.
	mostName = 28
	// leastBar and mostBar are how wide a bar gets.
	leastBar, mostBar = 8, 30
)

var spinning = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// lines are what is drawn on a terminal: the head, a bar for each task, and how
// many have no room.
func (p *Progress) lines(width int, now time.Time) []string {
	shown := slices.Clone(p.tasks)
	if len(shown) > mostBars {
		slices.SortStableFunc(shown, func(a, b *Task) int { return b.moved.Compare(a.moved) })
		shown = shown[:mostBars]
		slices.SortFunc(shown, func(a, b *Task) int { return slices.Index(p.tasks, a) - slices.Index(p.tasks, b) })
	}
	var lines []string
	if p.head != "" {
		lines = append(lines, cut(Neutralise(p.head), width))
	}
	names, phases := 0, 0
	for _, t := range shown {
		names = max(names, min(lipgloss.Width(Neutralise(t.name)), mostName))
		phases = max(phases, lipgloss.Width(Neutralise(t.phase)))
	}
	for _, t := range shown {
		lines = append(lines, t.bar(names, phases, width, now))
	}
	if more := len(p.tasks) - len(shown); more > 0 {
		lines = append(lines, cut(fmt.Sprintf("… and %d more, %d of %d done", more, p.ended(), len(p.tasks)), width))
	}
	return lines
}

func (p *Progress) ended() int {
	n := 0
	for _, t := range p.tasks {
		if t.ended {
			n++
		}
	}
	return n
}

// bar is a task on one line of a terminal.
func (t *Task) bar(names, phases, width int, now time.Time) string {
	words := []string{}
	if counted := t.counted(); counted != "" {
		words = append(words, counted)
	}
	words = append(words, t.speed(now)...)
	if t.note != "" {
		words = append(words, t.note)
	}
	before := pad(cut(Neutralise(t.name), mostName), names) + "  "
	if phases > 0 {
		before += pad(Neutralise(t.phase), phases) + "  "
	}
	after := Neutralise(strings.Join(words, "  "))
	sign := spinning[int(now.UnixMilli()/100)%len(spinning)]
	switch {
	case t.total > 0:
		room := min(max(width-lipgloss.Width(before)-lipgloss.Width(after)-7, leastBar), mostBar)
		full := int(float64(room) * t.share())
		sign = strings.Repeat("█", full) + strings.Repeat("░", room-full) + fmt.Sprintf(" %3d%%", int(t.share()*100))
	case t.ended:
		sign = " "
	}
	return cut(strings.TrimRight(before+sign+"  "+after, " "), width)
}

// share is how much of it is done, from 0 to 1.
func (t *Task) share() float64 {
	if t.total <= 0 {
		return 0
	}
	return min(max(float64(t.done)/float64(t.total), 0), 1)
}

func (t *Task) counted() string {
	switch {
	case t.unit == "":
		return ""
	case t.total > 0:
		return Grouped(t.done) + " of " + grouped(t.total, t.unit)
	}
	return grouped(t.done, t.unit)
}

// speed is its rate, and how long it still takes or has taken.
func (t *Task) speed(now time.Time) []string {
	var words []string
	if rate := t.rate(); rate > 0 && t.unit != "" {
		words = append(words, Grouped(int64(rate))+"/s")
	}
	left, known := t.left()
	switch {
	case known && t.done < t.total:
		words = append(words, clock(left)+" left")
	case t.ended:
		words = append(words, clock(t.moved.Sub(t.began)))
	default:
		words = append(words, clock(now.Sub(t.began)))
	}
	return words
}

// line is all of the work in one line, for who has no terminal.
func (p *Progress) line(now time.Time) string {
	var sum Task
	units, longest := map[string]bool{}, time.Duration(0)
	rate, counted, known := 0.0, true, true
	for _, t := range p.tasks {
		sum.done, sum.total = sum.done+t.done, sum.total+t.total
		units[t.unit] = true
		sum.unit = t.unit
		left, ok := t.left()
		longest = max(longest, left)
		if !t.ended {
			rate += t.rate()
			known = known && ok
		}
		counted = counted && t.total > 0
	}
	if len(units) > 1 {
		sum.unit = ""
	}
	words := []string{}
	if len(p.tasks) > 1 {
		words = append(words, fmt.Sprintf("%d of %d done", p.ended(), len(p.tasks)))
	} else if len(p.tasks) == 1 && p.tasks[0].phase != "" {
		words = append(words, p.tasks[0].phase)
	}
	if text := sum.counted(); text != "" {
		if counted {
			text += fmt.Sprintf(" (%d%%)", int(sum.share()*100))
		}
		words = append(words, text)
	}
	if rate > 0 && sum.unit != "" {
		words = append(words, Grouped(int64(rate))+"/s")
	}
	if counted && known && longest > 0 {
		words = append(words, clock(longest)+" left")
	} else {
		words = append(words, "after "+clock(now.Sub(p.began)))
	}
	return p.what + ": " + strings.Join(words, ", ")
}

// clock is a duration as minutes and seconds.
func clock(d time.Duration) string {
	d = max(d.Round(time.Second), 0)
	if d >= time.Hour {
		return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// Grouped is a number with its digits in groups of three.
func Grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func grouped(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return Grouped(n) + " " + unit + "s"
}

// Bytes is an amount of data in its largest unit.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, prefix := float64(n)/unit, 0
	for ; value >= unit && prefix < len("KMGTPE")-1; prefix++ {
		value /= unit
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + "KMGTPE"[prefix:prefix+1] + "iB"
}

// cut shortens text to a width in cells.
func cut(text string, width int) string {
	if ansi.StringWidth(text) <= width {
		return text
	}
	return ansi.Truncate(text, max(width, 0), "…")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}
