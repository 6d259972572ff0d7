package cmdutil_test

import (
	"testing"
	"time"

	"edgesync/cmd/cmdutil"
)

func TestAge(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "12h": 12 * time.Hour, "0": 0, "": 0, "1d": 24 * time.Hour} {
		var age cmdutil.Age
		if err := age.Set(text); err != nil || time.Duration(age) != want {
			t.Errorf("%q is %s (%v)", text, time.Duration(age), err)
		}
		var again cmdutil.Age
		if err := again.Set(age.String()); err != nil || again != age {
			t.Errorf("%q prints as %q", text, age.String())
		}
	}
	for _, text := range []string{"-1d", "d", "90", "-5h", "1.5d", "99999999d"} {
		var age cmdutil.Age
		if err := age.Set(text); err == nil {
			t.Errorf("%q was taken for %s", text, time.Duration(age))
		}
	}
}
