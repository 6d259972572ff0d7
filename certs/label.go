package certs

import (
	"fmt"
	"strings"
)

// MaxCommonName is the longest common name a certificate may carry, in bytes
// (ub-common-name of RFC 5280, appendix A.1).
const MaxCommonName = 64

const (
	maxLabel = 63
	// maxHost is RFC 1035's limit on a name, in its text form.
	maxHost = 253
)

// ValidLabel says why s cannot be a tenant slug, partition or component id, or
// nil: 1 to 63 lower-case letters, digits and inner hyphens.
func ValidLabel(s string) error { return validLabel("label", s) }

func validLabel(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("check %s: it is empty", what)
	case len(s) > maxLabel:
		return fmt.Errorf("check %s %q: it has %d characters, at most %d are allowed", what, s[:maxLabel]+"…", len(s), maxLabel)
	case s[0] == '-' || s[len(s)-1] == '-':
		return fmt.Errorf("check %s %q: it begins or ends with a hyphen", what, s)
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("check %s %q: use only a-z, 0-9 and hyphens", what, s)
		}
	}
	return nil
}

// ValidTrustDomain says why s cannot be a trust domain, or nil: dot-separated
// labels, so that it serves as a DNS suffix and as a SPIFFE trust domain.
func ValidTrustDomain(s string) error {
	if len(s) > MaxCommonName {
		return fmt.Errorf("check trust domain: it has %d characters, at most %d are allowed", len(s), MaxCommonName)
	}
	if err := validLabels(s); err != nil {
		return fmt.Errorf("check trust domain %q: %w", s, err)
	}
	return nil
}

// ValidHost says why s cannot be a host name, lower case and without a wildcard
// or a final dot, or nil.
func ValidHost(s string) error {
	if len(s) > maxHost {
		return fmt.Errorf("check host name: it has %d characters, at most %d are allowed", len(s), maxHost)
	}
	if err := validLabels(s); err != nil {
		return fmt.Errorf("check host name %q: %w", s, err)
	}
	return nil
}

func validLabels(s string) error {
	for label := range strings.SplitSeq(s, ".") {
		if err := ValidLabel(label); err != nil {
			return err
		}
	}
	return nil
}

// CommonName is the one DNS name of a leaf, <component>.<partition>.<tenant>.<trust domain>.
// It refuses parts that are not labels and a name that no certificate can hold.
func CommonName(component, partition, tenant, trustDomain string) (string, error) {
	parts := []struct{ what, label string }{{"component", component}, {"partition", partition}, {"tenant", tenant}}
	for _, p := range parts {
		if err := ValidLabel(p.label); err != nil {
			return "", fmt.Errorf("name %s: %w", p.what, err)
		}
	}
	if err := ValidTrustDomain(trustDomain); err != nil {
		return "", err
	}
	name := strings.Join([]string{component, partition, tenant, trustDomain}, ".")
	if len(name) > MaxCommonName {
		return "", fmt.Errorf("name certificate %q: it has %d characters, at most %d fit: shorten the component, partition or tenant", name, len(name), MaxCommonName)
	}
	return name, nil
}
