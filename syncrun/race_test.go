//go:build race

package syncrun_test

import (
	"os"
	"runtime"
	"testing"
)

// manyDevices are fewer under the race detector, which makes everything slow.
const manyDevices = 40_000

// TestMain leaves the race detector one processor: two that run timers of one
// simulated clock at once share a state of its that is for one thread (Go 1.26), and
// end in a segmentation violation. Which accesses have no order it sees all the same.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}
