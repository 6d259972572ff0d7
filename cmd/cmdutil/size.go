package cmdutil

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes as a flag.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1}, {"", 1},
}

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
	number := strings.TrimSpace(strings.ToUpper(text))
	for _, unit := range units {
		digits, ok := strings.CutSuffix(number, unit.name)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || math.IsNaN(value) || value < 0 || value*float64(unit.bytes) >= 1<<62 {
			break
		}
		*s = Size(value * float64(unit.bytes))
		return nil
	}
	return fmt.Errorf("%q is no size: want one such as 512MiB or 2GiB", text)
}

// String implements pflag.Value.
func (s *Size) String() string {
	for i := 3; i >= 0; i-- {
		if unit := units[i].bytes; int64(*s) >= unit && int64(*s)%unit == 0 {
			return fmt.Sprintf("%d%s", int64(*s)/unit, [...]string{"KiB", "MiB", "GiB", "TiB"}[i])
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }
