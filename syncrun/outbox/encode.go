package outbox

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"edgesync/proto/payload"
)

// updateEncoder writes updates as JSON. It does what encoding/json would, but a
// run may have a million of them and this is most of the work of taking one.
type updateEncoder struct {
	// meta is the JSON of every update's sync_meta.
	meta []byte
	keys []string
}

// append adds the JSON object of an update to dst. Empty values are left out as
// the tags of payload.Update say.
func (e *updateEncoder) append(dst []byte, u *payload.Update) []byte {
	dst = append(dst, '{')
	for _, field := range [...]struct{ key, value string }{
		{`"device_id":`, u.DeviceID}, {`"ip":`, u.IP}, {`"mac":`, u.MAC}, {`"hostname":`, u.Hostname},
		{`"agent_id":`, u.AgentID}, {`"poller_id":`, u.PollerID}, {`"gateway_id":`, u.GatewayID}, {`"partition":`, u.Partition},
	} {
		if field.value != "" {
			dst = append(appendString(append(dst, field.key...), field.value), ',')
		}
	}
	dst = appendString(append(dst, `"source":`...), u.Source)
	dst = u.Timestamp.AppendFormat(append(dst, `,"timestamp":"`...), time.RFC3339Nano)
	dst = strconv.AppendBool(append(dst, `","is_available":`...), u.IsAvailable)
	if u.Confidence != 0 {
		dst = strconv.AppendInt(append(dst, `,"confidence":`...), int64(u.Confidence), 10)
	}
	dst = e.appendMetadata(dst, u.Metadata)
	dst = append(append(dst, `,"sync_meta":`...), e.meta...)
	return append(dst, '}')
}

func (e *updateEncoder) appendMetadata(dst []byte, metadata map[string]string) []byte {
	if len(metadata) == 0 {
		return dst
	}
	e.keys = e.keys[:0]
	for k := range metadata {
		e.keys = append(e.keys, k)
	}
	slices.Sort(e.keys)
	dst = append(dst, `,"metadata":`...)
	separator := byte('{')
	for _, k := range e.keys {
		dst = append(appendString(append(dst, separator), k), ':')
		dst = appendString(dst, metadata[k])
		separator = ','
	}
	return append(dst, '}')
}

// appendString adds s as a JSON string (RFC 8259); what is no UTF-8 becomes the
// replacement character.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
