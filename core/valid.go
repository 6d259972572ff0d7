package core

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"edgesync/certs"
)

const (
	defaultPartition = "default"
	maxName          = 128
)

// validName checks what people call a thing: it is shown in terminals and
// typed to find the thing again, so it must not look like an id, hide anything
// or steer a terminal.
func validName(what, name string) *Error {
	if err := validText(what, name, maxName); err != nil {
		return err
	}
	switch {
	case name == "":
		return invalid("check %s: it is empty: give one", what)
	case strings.TrimSpace(name) != name:
		return invalid("check %s %q: it begins or ends with white space", what, name)
	}
	if _, err := uuid.Parse(name); err == nil {
		return invalid("check %s %q: it reads like an id: choose another", what, name)
	}
	return nil
}

// validText checks free text of at most limit bytes on one line. It does not
// quote what it refuses: that may be a secret in the wrong place.
func validText(what, text string, limit int) *Error {
	switch {
	case len(text) > limit:
		return invalid("check %s: it has %d bytes, more than %d", what, len(text), limit)
	case !utf8.ValidString(text):
		return invalid("check %s: it is not valid UTF-8", what)
	case strings.ContainsFunc(text, unprintable):
		return invalid("check %s: it holds a control or invisible character", what)
	}
	return nil
}

// unprintable finds what a line of text must not hold: control characters, and
// those that reorder or hide what stands around them.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}

// clean makes text from outside fit to be kept and shown: it drops what
// validText refuses and cuts what is too long.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || unprintable(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return strings.TrimSpace(text)
}

// validPartition checks a partition; empty means the default one.
func validPartition(partition string) (string, *Error) {
	if partition == "" {
		return defaultPartition, nil
	}
	if err := certs.ValidLabel(partition); err != nil {
		return "", invalid("check partition: %v", err)
	}
	return partition, nil
}

// validAddr checks host:port as another machine is to dial it.
func validAddr(what, addr string) *Error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return invalid("check %s %q: it is not host:port", what, addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return invalid("check %s %q: its port is not a number from 1 to 65535", what, addr)
	}
	if err := validHost(host); err != nil {
		return invalid("check %s %q: %v", what, addr, err)
	}
	return nil
}

// validHost takes a host name or an address that a certificate can name.
func validHost(host string) error {
	if ip := net.ParseIP(host); ip != nil {
		if ip.IsUnspecified() {
			return fmt.Errorf("%s is an address to listen on, not one to reach", host)
		}
		return nil
	}
	return certs.ValidHost(strings.ToLower(host))
}

// hostOf is the host of an address that was checked before.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return strings.ToLower(host)
}
