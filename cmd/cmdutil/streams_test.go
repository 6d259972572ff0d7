package cmdutil

import (
	"strings"
	"testing"
)

func TestNothingIsDrawnOnATerminalThatCannotMoveItsCursor(t *testing.T) {
	streams, _, _ := TestStreams("")
	streams.InTerminal, streams.OutTerminal, streams.Keyboard = true, true, strings.NewReader("")
	if !streams.FullScreen() {
		t.Error("a terminal is not taken over")
	}
	streams.Dumb = true
	if streams.FullScreen() {
		t.Error("a dumb terminal is taken over")
	}
}
