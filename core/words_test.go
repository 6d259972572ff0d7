package core

import "testing"

func TestOneIsNoPlural(t *testing.T) {
	if one, two := plural(1, "page"), plural(int64(2), "page"); one != "1 page" || two != "2 pages" {
		t.Errorf("%q, %q", one, two)
	}
}
