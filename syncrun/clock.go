package syncrun

import "time"

// maxDrift is how far a clock may be set at once before that is told of.
const maxDrift = time.Minute

// clock compares the time of day with how long it really was.
type clock struct {
	now func() time.Time
	// day is the time of day when real was taken.
	day, real time.Time
}

func newClock(now func() time.Time) *clock {
	return &clock{now: now, day: now().Round(0), real: time.Now()}
}

// watch sounds the alarm when the time of day has moved by itself.
func (c *clock) watch(r *Runtime) {
	day, real := c.now().Round(0), time.Now()
	jump := day.Sub(c.day) - real.Sub(c.real)
	c.day, c.real = day, real
	if jump.Abs() <= maxDrift {
		return
	}
	r.options.Logger.Error("clock of this host jumped", "by", jump.Round(time.Second).String())
	r.observe(Event{Kind: ClockJumped, Time: r.options.Now(), Delay: jump})
}
