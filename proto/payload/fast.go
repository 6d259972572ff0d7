package payload

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"
)

// fast reads updates that are written as those of our own client are: the known
// keys, each once, and no escapes. It refuses nothing. What it does not know it
// leaves to the scanner and encoding/json, which decide; so it need not know all,
// but must not take what they would refuse, nor otherwise than they would.
type fast struct {
	now time.Time
	// metaText is the sync_meta read last, meta what it said: the updates of a
	// message have one and the same.
	metaText []byte
	meta     SyncMeta
}

// update reads the element of an array that begins data, and returns how long it
// is; false when it is not one it knows.
func (f *fast) update(u *Update, data []byte) (int, bool) {
	end := elementEnd(data)
	if end == 0 {
		return 0, false
	}
	// One string for all that the update says.
	m := members{text: string(data[:end])}
	if !f.object(u, &m) || m.pos != end {
		*u = Update{}
		return 0, false
	}
	if !m.named || !PlausibleTime(u.Timestamp, f.now) {
		if u.Validate(f.now) != nil {
			*u = Update{}
			return 0, false
		}
	}
	return end, true
}

// elementEnd is the length of a plain object at the beginning of data, or 0. It
// looks no further than fastTotal.
func elementEnd(data []byte) int {
	data = data[:min(len(data), fastTotal)]
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			length := bytes.IndexByte(data[i+1:], '"')
			if length < 0 {
				return 0
			}
			i += length + 1
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case '[', '\\':
			return 0
		}
	}
	return 0
}

// members walks over the members of objects in text without white space.
type members struct {
	text string
	pos  int
	// named says that the device has an id of its source's own.
	named bool
}

// The members of an update, a bit each, so that one that comes twice is noticed.
const (
	hasDeviceID = 1 << iota
	hasIP
	hasMAC
	hasHostname
	hasSource
	hasAgentID
	hasPollerID
	hasGatewayID
	hasPartition
	hasTimestamp
	hasIsAvailable
	hasConfidence
	hasMetadata
	hasSyncMeta
)

func (f *fast) object(u *Update, m *members) bool {
	if !m.skip('{') {
		return false
	}
	seen := 0
	for {
		key, ok := m.string()
		if !ok || !m.skip(':') {
			return false
		}
		bit := f.member(u, m, key)
		if bit == 0 || seen&bit != 0 {
			return false
		}
		seen |= bit
		if m.skip('}') {
			break
		}
		if !m.skip(',') {
			return false
		}
	}
	if seen&hasTimestamp == 0 {
		u.Timestamp = f.now
	}
	return true
}

// member reads the value of a member and returns its bit, or 0.
func (f *fast) member(u *Update, m *members, key string) int {
	switch key {
	case "device_id":
		return m.into(&u.DeviceID, hasDeviceID)
	case "ip":
		return m.into(&u.IP, hasIP)
	case "mac":
		return m.into(&u.MAC, hasMAC)
	case "hostname":
		return m.into(&u.Hostname, hasHostname)
	case "source":
		return m.into(&u.Source, hasSource)
	case "agent_id":
		return m.into(&u.AgentID, hasAgentID)
	case "poller_id":
		return m.into(&u.PollerID, hasPollerID)
	case "gateway_id":
		return m.into(&u.GatewayID, hasGatewayID)
	case "partition":
		return m.into(&u.Partition, hasPartition)
	case "timestamp":
		return m.time(&u.Timestamp, hasTimestamp)
	case "is_available":
		return m.bool(&u.IsAvailable, hasIsAvailable)
	case "confidence":
		return m.int(&u.Confidence, hasConfidence)
	case "metadata":
		return m.metadata(u)
	case "sync_meta":
		return f.syncMeta(u, m)
	}
	return 0
}

func (m *members) skip(c byte) bool {
	if m.pos < len(m.text) && m.text[m.pos] == c {
		m.pos++
		return true
	}
	return false
}

// string reads a string that is its own JSON and no longer than a name may be.
func (m *members) string() (string, bool) {
	if !m.skip('"') {
		return "", false
	}
	start, ascii := m.pos, true
	for ; m.pos < len(m.text); m.pos++ {
		c := m.text[m.pos]
		if plainByte[c] {
			continue
		}
		if c == '"' {
			s := m.text[start:m.pos]
			m.pos++
			return s, len(s) <= fastText && (ascii || utf8.ValidString(s))
		}
		if c < utf8.RuneSelf {
			return "", false
		}
		ascii = false
	}
	return "", false
}

func (m *members) into(field *string, bit int) int {
	s, ok := m.string()
	if !ok {
		return 0
	}
	*field = s
	return bit
}

func (m *members) bool(field *bool, bit int) int {
	switch rest := m.text[m.pos:]; {
	case strings.HasPrefix(rest, "true"):
		m.pos += len("true")
		*field = true
	case strings.HasPrefix(rest, "false"):
		m.pos += len("false")
		*field = false
	default:
		return 0
	}
	return bit
}

// int reads a whole number of few digits.
func (m *members) int(field *int, bit int) int {
	negative := m.skip('-')
	start, n := m.pos, 0
	for m.pos < len(m.text) && m.text[m.pos] >= '0' && m.text[m.pos] <= '9' {
		n = n*10 + int(m.text[m.pos]-'0')
		m.pos++
	}
	digits := m.pos - start
	if digits == 0 || digits > 9 || digits > 1 && m.text[start] == '0' {
		return 0
	}
	if *field = n; negative {
		*field = -n
	}
	return bit
}

func (m *members) time(field *time.Time, bit int) int {
	start := m.pos
	if s, ok := m.string(); !ok || s == "" {
		return 0
	}
	if field.UnmarshalJSON([]byte(m.text[start:m.pos])) != nil {
		return 0
	}
	return bit
}

// usualKeys is about how many keys of metadata an update has.
const usualKeys = 14

func (m *members) metadata(u *Update) int {
	if !m.skip('{') {
		return 0
	}
	u.Metadata = make(map[string]string, usualKeys)
	count := 0
	for ; !m.skip('}'); count++ {
		if count > 0 && !m.skip(',') || count == fastKeys {
			return 0
		}
		key, ok := m.string()
		if !ok || !m.skip(':') {
			return 0
		}
		value, ok := m.string()
		if !ok {
			return 0
		}
		switch key {
		case MetaIntegrationID, MetaArmisDeviceID, MetaNetBoxDeviceID:
			m.named = m.named || value != "" && value[0] > ' ' && value[0] < utf8.RuneSelf
		}
		u.Metadata[key] = value
	}
	if len(u.Metadata) != count {
		return 0
	}
	return hasMetadata
}

// syncMeta reads one as encoding/json does, once for all that are alike.
func (f *fast) syncMeta(u *Update, m *members) int {
	rest := m.text[m.pos:]
	if len(f.metaText) > 0 && len(rest) > len(f.metaText) && rest[:len(f.metaText)] == string(f.metaText) {
		m.pos += len(f.metaText)
		u.SyncMeta = f.meta.clone()
		return hasSyncMeta
	}
	end := elementEnd([]byte(rest))
	if end == 0 {
		return 0
	}
	meta, ok := decodeSyncMeta([]byte(rest[:end]), f.now)
	if !ok {
		return 0
	}
	f.metaText, f.meta = append(f.metaText[:0], rest[:end]...), meta
	m.pos += end
	u.SyncMeta = f.meta.clone()
	return hasSyncMeta
}

func (m SyncMeta) clone() *SyncMeta {
	if m.RunStarted != nil {
		started := *m.RunStarted
		m.RunStarted = &started
	}
	return &m
}
