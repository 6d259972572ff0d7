package cmdutil

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBarsTellRateAndTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, _, screen := TestStreams("")
		streams.ErrTerminal, streams.Width = true, func() int { return 100 }
		p := StartProgress(&Factory{IO: streams, Now: time.Now}, "copy store")
		task := p.Task("acme", "row", 10_000)
		task.Begin("copying", 10_000)
		p.Task("evil\x1b[2J\r", "", 0)
		pass(100 * time.Millisecond)
		if screen.Len() > 0 {
			t.Errorf("what may soon be done drew %q", screen.String())
		}
		for range 20 {
			task.Add(100)
			pass(100 * time.Millisecond)
		}
		last := screen.String()[strings.LastIndex(screen.String(), "acme"):]
		for _, want := range []string{"acme", "copying", "█", "░", " 20%", "2,000 of 10,000 rows", "1,000/s", "0:08 left"} {
			if !strings.Contains(last, want) {
				t.Errorf("%q is not in %q", want, last)
			}
		}
		if text := screen.String(); strings.Contains(text, "\x1b[2J") || strings.Contains(last, "evil\r") {
			t.Errorf("outside text moves the cursor: %q", text)
		}
		screen.Reset()
		p.End()
		p.End()
		if screen.String() != "\x1b[2A\r\x1b[J" {
			t.Errorf("the end leaves %q", screen.String())
		}
	})
}

func TestWithoutATerminalALineIsToldNowAndThen(t *testing.T) {
	for _, dumb := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			streams, _, told := TestStreams("")
			streams.ErrTerminal, streams.Dumb = dumb, dumb
			p := StartProgress(&Factory{IO: streams, Now: time.Now}, "copy store")
			defer p.End()
			task := p.Task("acme", "row", 10_000)
			task.Begin("copying", 10_000)
			for range 48 {
				task.Add(100)
				pass(100 * time.Millisecond)
			}
			if told.Len() > 0 {
				t.Errorf("before five seconds it told %q", told.String())
			}
			task.Add(100)
			pass(5 * time.Second)
			task.Add(100)
			pass(time.Second)
			lines := strings.Split(strings.TrimSpace(told.String()), "\n")
			if len(lines) != 2 || !strings.HasPrefix(lines[0], "copy store: copying, 4,900 of 10,000 rows (49%)") {
				t.Errorf("told %q", lines)
			}
			if strings.Contains(told.String(), "\x1b") {
				t.Errorf("told %q", told.String())
			}
		})
	}
}

func TestManyTasksAreToldTogether(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	streams, _, _ := TestStreams("")
	p := newProgress(streams, func() time.Time { return now }, "sync")
	for i := range 40 {
		task := p.Task("tenant-"+strings.Repeat("x", i), "device", 100)
		task.Set(50)
		if i%2 == 0 {
			task.End("success", "")
		}
	}
	lines := p.lines(79, now)
	if len(lines) != mostBars+1 || !strings.Contains(lines[mostBars], "24 more, 20 of 40 done") {
		t.Errorf("drew %q", lines)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 79 {
			t.Errorf("%d cells: %s", n, line)
		}
	}
	if line := p.line(now); !strings.HasPrefix(line, "sync: 20 of 40 done, 2,000 of 4,000 devices") {
		t.Errorf("told %q", line)
	}
}

func TestAbsentProgressDoesNothing(t *testing.T) {
	var p *Progress
	task := p.Task("a", "b", 1)
	task.Begin("x", 1)
	task.Set(1)
	task.Add(1)
	task.Expect(1)
	task.Note("n")
	task.End("done", "")
	p.Head("h")
	p.Remove(task)
	p.End()
	p.Keep()
}

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 3 << 29: "1.5 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := Grouped(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

// pass lets time pass, and everybody do what is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
