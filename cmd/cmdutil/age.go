package cmdutil

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"edgesync/proto/shell"
)

// Age is a flag of a duration that may be many days: "90d", "12h", and "0" or ""
// for none.
type Age time.Duration

const day = 24 * time.Hour

// String is part of pflag.Value.
func (a *Age) String() string {
	d := time.Duration(*a)
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return shell.Duration(d)
}

// Set is part of pflag.Value.
func (a *Age) Set(text string) error {
	if text == "" || text == "0" {
		*a = 0
		return nil
	}
	d, err := time.ParseDuration(text)
	if days, found := strings.CutSuffix(text, "d"); found {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * day
	}
	if err != nil || d < 0 {
		return fmt.Errorf("want a time such as 90d or 12h, or 0 for no end")
	}
	*a = Age(d)
	return nil
}

// Type is part of pflag.Value.
func (a *Age) Type() string { return "age" }
