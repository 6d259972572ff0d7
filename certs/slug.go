package certs

import (
	"fmt"
	"strings"
)

// reservedSlugs would, as tenants, own names that belong to the platform: a
// tenant "agent-gateway" would be permitted the gateway's own DNS name.
var reservedSlugs = []string{"platform", "agent-gateway", "gateway", "ca", "admin", "root", "system", "localhost"}

// lookAlikes folds what reads like something else to one spelling. It is applied
// to both sides, so it only has to be consistent.
var lookAlikes = strings.NewReplacer(
	"rn", "m", "vv", "w", "cl", "d",
	"0", "o", "1", "l", "i", "l", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b",
	"-", "",
)

// ReservedSlug reports whether a slug is, or reads like, a name the platform
// keeps for itself.
func ReservedSlug(slug string) bool {
	folded := foldSlug(slug)
	for _, reserved := range reservedSlugs {
		if folded == foldSlug(reserved) {
			return true
		}
	}
	return false
}

// foldSlug folds twice: dropping a hyphen can join two letters into a pair.
func foldSlug(slug string) string {
	return lookAlikes.Replace(lookAlikes.Replace(strings.ToLower(slug)))
}

// ValidTenantSlug says why a tenant other than the platform's cannot be called
// slug, or nil.
func ValidTenantSlug(slug string) error {
	if err := validLabel("tenant slug", slug); err != nil {
		return err
	}
	if strings.HasPrefix(slug, "xn--") {
		return fmt.Errorf("check tenant slug %q: internationalised names are not allowed, they can read like another", slug)
	}
	if ReservedSlug(slug) {
		return fmt.Errorf("check tenant slug %q: it is, or reads like, a name the platform keeps for itself: choose another", slug)
	}
	return nil
}
