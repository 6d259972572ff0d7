package payload

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
)

// MaxIdentifier is the most bytes of a name or an id within an update: what
// stores keep under an index.
const MaxIdentifier = 1 << 10

// ClockAhead is how far in the future a time may lie: more than the day by which
// the clock of an edge host may be wrong without losing what it found.
const ClockAhead = 48 * time.Hour

// earliest is the oldest time anything here can have happened at.
var earliest = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// PlausibleTime tells whether t can be when something in a message happened.
func PlausibleTime(t, now time.Time) bool {
	return !t.Before(earliest) && !t.After(now.Add(ClockAhead))
}

// Validate is the check a receiver makes of an update at the time now, for a
// sender to make first. An error is an *UpdateError with Index -1.
func (u *Update) Validate(now time.Time) error {
	if err := u.checkText(); err != nil {
		return err
	}
	if err := u.checkSize(); err != nil {
		return err
	}
	if !PlausibleTime(u.Timestamp, now) {
		return invalid("timestamp is before the year 2000 or in the future")
	}
	if m := u.SyncMeta; m != nil && m.RunStarted != nil && !PlausibleTime(*m.RunStarted, now) {
		return invalid("sync_meta.run_started is before the year 2000 or in the future")
	}
	if !u.recognisable() {
		return invalid("it has neither a native id nor a MAC nor an IP address to know the device by")
	}
	return nil
}

// named are the fields that stores look things up by.
func (u *Update) named() [13]struct{ key, value string } {
	run := ""
	if u.SyncMeta != nil {
		run = u.SyncMeta.SyncRunID
	}
	return [...]struct{ key, value string }{
		{"device_id", u.DeviceID}, {"ip", u.IP}, {"mac", u.MAC}, {"hostname", u.Hostname},
		{"source", u.Source}, {"partition", u.Partition}, {"sync_meta.sync_run_id", run},
		{"metadata." + MetaIntegrationID, u.Metadata[MetaIntegrationID]},
		{"metadata." + MetaIntegrationSourceID, u.Metadata[MetaIntegrationSourceID]},
		{"metadata." + MetaArmisDeviceID, u.Metadata[MetaArmisDeviceID]},
		{"metadata." + MetaNetBoxDeviceID, u.Metadata[MetaNetBoxDeviceID]},
		{"metadata." + MetaSerialNumber, u.Metadata[MetaSerialNumber]},
		{"metadata." + MetaManufacturer, u.Metadata[MetaManufacturer]},
	}
}

func (u *Update) checkText() error {
	for _, field := range u.named() {
		if len(field.value) > MaxIdentifier {
			return invalid(fmt.Sprintf("%s is %d bytes long, the limit is %d", field.key, len(field.value), MaxIdentifier))
		}
	}
	return u.eachText(func(s string) error {
		switch {
		case !utf8.ValidString(s):
			return invalid(errUTF8.Error())
		case strings.IndexByte(s, 0) >= 0:
			return invalid(errNUL.Error())
		}
		return nil
	})
}

func (u *Update) checkSize() error {
	metadata := 0
	for k, v := range u.Metadata {
		metadata += len(k) + len(v)
	}
	if metadata > MaxMetadata {
		return &UpdateError{Index: -1, Code: codes.ResourceExhausted,
			Reason: fmt.Sprintf("metadata is %d bytes, the limit is %d", metadata, MaxMetadata)}
	}
	// The names of the fields, the numbers and the two times take less.
	const frame = 1 << 10
	if len(u.Metadata) > MaxKeys-32 {
		return invalid(errKeys.Error())
	}
	size := frame
	_ = u.eachText(func(s string) error {
		size += encodedLen(s)
		return nil
	})
	if size > MaxUpdate {
		return &UpdateError{Index: -1, Code: codes.ResourceExhausted, Reason: fmt.Sprintf("it takes more than %d bytes", MaxUpdate)}
	}
	return nil
}

// eachText calls check with every string of the update until one returns an error.
func (u *Update) eachText(check func(string) error) error {
	for _, s := range [...]string{
		u.DeviceID, u.IP, u.MAC, u.Hostname, u.Source, u.AgentID, u.PollerID, u.GatewayID, u.Partition,
	} {
		if err := check(s); err != nil {
			return err
		}
	}
	for k, v := range u.Metadata {
		if err := check(k); err != nil {
			return err
		}
		if err := check(v); err != nil {
			return err
		}
	}
	if u.SyncMeta == nil {
		return nil
	}
	for _, s := range [...]string{u.SyncMeta.SyncServiceID, u.SyncMeta.SyncRunID, u.SyncMeta.Mode} {
		if err := check(s); err != nil {
			return err
		}
	}
	return nil
}

// encodedLen is the most bytes s takes as a JSON string, with the quotes and a
// comma or colon, whatever escapes its encoder prefers.
func encodedLen(s string) int {
	n := len(s) + 3
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			n += 5
		case c == '"' || c == '\\' || c == '/':
			n++
		case c == 0xe2: // U+2028 and U+2029 begin with it
			n += 3
		}
	}
	return n
}

// recognisable tells whether the update says anything its device can be known
// by again.
func (u *Update) recognisable() bool {
	for _, key := range [...]string{MetaArmisDeviceID, MetaNetBoxDeviceID, MetaIntegrationID} {
		if strings.TrimSpace(u.Metadata[key]) != "" {
			return true
		}
	}
	return isIP(u.IP) || isMAC(u.MAC) ||
		anyOf(u.Metadata[MetaAllIPs], isIP) || anyOf(u.Metadata[MetaPrimaryIP], isIP) || anyOf(u.Metadata[MetaAllMACs], isMAC)
}

// anyOf tells whether an element of a comma list satisfies is.
func anyOf(list string, is func(string) bool) bool {
	for element := range strings.SplitSeq(list, ",") {
		if is(element) {
			return true
		}
	}
	return false
}

// isIP takes an address with or without a prefix length or a zone.
func isIP(s string) bool {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "/")
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isMAC takes six octets in hex, in any of the usual spellings.
func isMAC(s string) bool {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			digits++
		case c == ':', c == '-', c == '.', c == ' ':
		default:
			return false
		}
	}
	return digits == 12
}

func invalid(reason string) error {
	return &UpdateError{Index: -1, Code: codes.InvalidArgument, Reason: reason}
}
