package main

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// The size of one cell, and the colours of a terminal's sixteen.
const (
	cellWidth, cellHeight = 8.4, 18.0
	margin                = 12.0
	background, ink       = "#16181d", "#d7dae0"
)

var palette = []string{
	"#2b2f38", "#e06c75", "#98c379", "#d19a66", "#61afef", "#c678dd", "#56b6c2", "#d7dae0",
	"#7d8594", "#f47983", "#a9d88a", "#e5c07b", "#7cc0ff", "#d68bea", "#6fd3e0", "#ffffff",
}

// pen is how text is drawn from here on.
type pen struct {
	color   string
	bold    bool
	reverse bool
}

// picture draws a captured screen as SVG.
func picture(screen string) string {
	var b strings.Builder
	width, height := columns*cellWidth+2*margin, rows*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", background)
	current := pen{color: ink}
	for y, line := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		x := 0
		for line != "" {
			if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
				codes, after, _ := strings.Cut(rest, "m")
				current.apply(codes)
				line = after
				continue
			}
			text := line
			if i := strings.IndexByte(line, '\x1b'); i >= 0 {
				text = line[:i]
			}
			line = line[len(text):]
			current.draw(&b, x, y, text)
			x += ansi.StringWidth(text)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *pen) apply(codes string) {
	for code := range strings.SplitSeq(codes, ";") {
		switch n, _ := strconv.Atoi(code); {
		case n == 0:
			*p = pen{color: ink}
		case n == 1:
			p.bold = true
		case n == 7:
			p.reverse = true
		case n == 22:
			p.bold = false
		case n == 27:
			p.reverse = false
		case n >= 30 && n <= 37:
			p.color = palette[n-30]
		case n == 39:
			p.color = ink
		case n >= 90 && n <= 97:
			p.color = palette[n-90+8]
		}
	}
}

func (p pen) draw(b *strings.Builder, x, y int, text string) {
	left, top := margin+float64(x)*cellWidth, margin+float64(y)*cellHeight
	color := p.color
	if p.reverse {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, left, top, float64(ansi.StringWidth(text))*cellWidth, cellHeight, p.color)
		color = background
	}
	if strings.TrimSpace(text) == "" {
		return
	}
	weight := ""
	if p.bold {
		weight = ` font-weight="bold"`
	}
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s"%s xml:space="preserve" textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
		left, top+cellHeight-5, color, weight, float64(ansi.StringWidth(text))*cellWidth, escaped.String())
}
