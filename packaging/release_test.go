package main

import (
	"os/exec"
	"testing"
	"time"
)

func TestVersionsAreOrderedAsTheyWereMade(t *testing.T) {
	early, late := time.Unix(1_700_000_000, 0).UTC(), time.Unix(1_700_000_060, 0).UTC()
	ordered := []struct {
		described string
		when      time.Time
		want      string
	}{
		{"44a4a75", early, "0~20231114221320.44a4a75"},
		{"11a4a75-dirty", late, "0~20231114221420.11a4a75+dirty"},
		{"v0.9.0", late, "0.9.0"},
		{"v1.0.0-rc.1", late, "1.0.0~rc.1"},
		{"v1.0.0-rc.1-3-gabcdef0", late, "1.0.0~rc.1+3.abcdef0"},
		{"v1.0.0", late, "1.0.0"},
		{"v1.0.0-12-gabcdef0", late, "1.0.0+12.abcdef0"},
		{"v1.0.0-12-gabcdef0-dirty", late, "1.0.0+12.abcdef0+dirty"},
		{"1.0.1", late, "1.0.1"},
	}
	last := ""
	for _, test := range ordered {
		got, err := packageVersion(test.described, test.when)
		if err != nil || got != test.want {
			t.Errorf("%s is packaged as %q (%v), want %q", test.described, got, err, test.want)
		}
		if dpkg, err := exec.LookPath("dpkg"); err == nil && last != "" {
			if out, err := exec.Command(dpkg, "--compare-versions", last, "lt", got).CombinedOutput(); err != nil {
				t.Errorf("dpkg does not put %s before %s: %s", last, got, out)
			}
		}
		last = got
	}
	for _, text := range []string{"", "main", "v1.x", "1.0.0 ; rm", "../1"} {
		if got, err := packageVersion(text, early); err == nil {
			t.Errorf("%q was packaged as %q", text, got)
		}
	}
}

func TestTargets(t *testing.T) {
	if got, err := parseTargets("linux/arm64,host"); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
	for _, list := range []string{"", "plan9/mips", "linux/amd64,"} {
		if got, err := parseTargets(list); err == nil {
			t.Errorf("%q is %v", list, got)
		}
	}
}
