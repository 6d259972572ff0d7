package cmdutil

import "strings"

// OnlyOne is the one thing that was found under a name over all tenants.
// tenants names the tenant of each.
func OnlyOne[T any](found []T, tenants []string, what, ref string) (T, error) {
	var none T
	switch len(found) {
	case 0:
		return none, Errorf(ExitNotFound, "find %s %q: no tenant has one of that name", what, ref)
	case 1:
		return found[0], nil
	}
	return none, Usagef("missing --tenant: several tenants have a %s %q: %s", what, ref, strings.Join(tenants, ", "))
}
