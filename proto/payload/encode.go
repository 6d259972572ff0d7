package payload

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Encoder writes updates as elements of a results message and refuses those that
// a receiver would: Validate and encoding/json in one walk over an update, since
// a run may have a million of them. It is used by one goroutine.
type Encoder struct {
	now func() time.Time
	// own is what each update's metadata says whatever the update does.
	own []pair

	// others are the pairs of the update at hand that have no known key.
	others []pair
	sorted []pair
	// checked is a recent reading of the clock: times are good for days, and the
	// clock costs as much as a device.
	checked time.Time
	count   int
	stamp   stampCache
}

type pair struct{ key, value string }

// known are the values of known keys, present a bit for each that there is. It
// stays on the stack: the garbage collector has no part in what is put there.
type known struct {
	values  [knownCount]string
	present uint32
}

// clockEvery is how many updates are checked against one reading of the clock.
const clockEvery = 64

// A fast walk decides on updates within these bounds, which are narrower than
// those of Validate; the others are few and looked at by Validate itself.
const (
	fastText  = MaxIdentifier
	fastTotal = 8 << 10
	fastKeys  = 64
)

// NewEncoder makes an encoder by whose clock times are plausible, and which puts
// the pairs of own into the metadata of each update, in the place of its own.
func NewEncoder(now func() time.Time, own map[string]string) *Encoder {
	e := &Encoder{now: now}
	for key, value := range own {
		e.own = append(e.own, pair{key, value})
	}
	slices.SortFunc(e.own, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	return e
}

// Append adds the JSON object of an update to dst, its keys in order and empty
// values left out as its tags say, and without its sync_meta, which is its
// run's. An error is the *UpdateError of Validate; dst is then as it was.
func (e *Encoder) Append(dst []byte, u *Update) ([]byte, error) {
	if e.count%clockEvery == 0 {
		e.checked = e.now()
	}
	e.count++
	var k known
	e.gather(&k, u.Metadata)
	before := len(dst)
	dst, good := e.object(dst, u, &k)
	if good && len(u.Metadata) <= fastKeys && PlausibleTime(u.Timestamp, e.checked) && k.named() {
		return dst, nil
	}
	if err := e.validate(u); err != nil {
		return dst[:before], err
	}
	return dst, nil
}

// gather sorts the update's metadata and the encoder's own into k and others.
func (e *Encoder) gather(k *known, metadata map[string]string) {
	e.others = e.others[:0]
	for key, value := range metadata {
		if !k.put(key, value) {
			e.others = append(e.others, pair{key, value})
		}
	}
	for _, p := range e.own {
		if k.put(p.key, p.value) {
			continue
		}
		e.others = slices.DeleteFunc(e.others, func(other pair) bool { return other.key == p.key })
		e.others = append(e.others, p)
	}
}

func (k *known) put(key, value string) bool {
	i := rank(key)
	if i < 0 {
		return false
	}
	k.values[i] = value
	k.present |= 1 << i
	return true
}

// named tells whether the device has an id of its source's own that is no blank.
func (k *known) named() bool {
	for _, i := range [...]int{keyIntegrationID, keyArmisDeviceID, keyNetBoxDeviceID} {
		if v := k.values[i]; v != "" && v[0] > ' ' && v[0] < utf8.RuneSelf {
			return true
		}
	}
	return false
}

// validate asks Validate about the update as it is sent.
func (e *Encoder) validate(u *Update) error {
	whole := *u
	whole.SyncMeta = nil
	whole.Metadata = make(map[string]string, len(u.Metadata)+len(e.own))
	for key, value := range u.Metadata {
		whole.Metadata[key] = value
	}
	for _, p := range e.own {
		whole.Metadata[p.key] = p.value
	}
	return whole.Validate(e.now())
}

// object writes the update. It is not good where a text is so odd or so long, or
// all of them are, that it has to be looked at closer.
func (e *Encoder) object(dst []byte, u *Update, k *known) (_ []byte, good bool) {
	start := len(dst)
	w := writer{dst: append(dst, '{'), good: true}
	w.optional(`"device_id":"`, u.DeviceID)
	w.optional(`"ip":"`, u.IP)
	w.optional(`"mac":"`, u.MAC)
	w.optional(`"hostname":"`, u.Hostname)
	w.text(`"source":"`, u.Source)
	w.dst = append(w.dst, ',')
	w.optional(`"agent_id":"`, u.AgentID)
	w.optional(`"poller_id":"`, u.PollerID)
	w.optional(`"gateway_id":"`, u.GatewayID)
	w.optional(`"partition":"`, u.Partition)
	w.dst = e.stamp.append(append(w.dst, `"timestamp":"`...), u.Timestamp)
	if u.IsAvailable {
		w.dst = append(w.dst, `","is_available":true`...)
	} else {
		w.dst = append(w.dst, `","is_available":false`...)
	}
	if u.Confidence != 0 {
		w.dst = strconv.AppendInt(append(w.dst, `,"confidence":`...), int64(u.Confidence), 10)
	}
	e.metadata(&w, k)
	w.dst = append(w.dst, '}')
	return w.dst, w.good && len(w.dst)-start <= fastTotal
}

func (e *Encoder) metadata(w *writer, k *known) {
	if k.present == 0 && len(e.others) == 0 {
		return
	}
	w.dst = append(w.dst, `,"metadata":{`...)
	if len(e.others) == 0 {
		for left := k.present; left != 0; left &= left - 1 {
			i := bits.TrailingZeros32(left)
			w.text(knownKeys[i].quoted, k.values[i])
			w.dst = append(w.dst, ',')
		}
	} else {
		for _, p := range e.order(k) {
			w.key(p.key)
			w.text(`"`, p.value)
			w.dst = append(w.dst, ',')
		}
	}
	w.dst[len(w.dst)-1] = '}'
}

// order is all the metadata by its keys.
func (e *Encoder) order(k *known) []pair {
	e.sorted = append(e.sorted[:0], e.others...)
	for i := range knownCount {
		if k.present&(1<<i) != 0 {
			e.sorted = append(e.sorted, pair{knownKeys[i].key, k.values[i]})
		}
	}
	slices.SortFunc(e.sorted, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	return e.sorted
}

// writer appends the members of an object.
type writer struct {
	dst  []byte
	good bool
}

// optional appends a member and a comma unless it is empty. head is the key as
// JSON, the colon and the quote before the value.
func (w *writer) optional(head, value string) {
	if value != "" {
		w.text(head, value)
		w.dst = append(w.dst, ',')
	}
}

// text appends head and then the rest of a string.
func (w *writer) text(head, value string) {
	w.dst = append(append(w.dst, head...), value...)
	if !plainText(value) {
		w.escape(value)
	}
	w.good = w.good && len(value) <= fastText
	w.dst = append(w.dst, '"')
}

func (w *writer) key(key string) {
	w.text(`"`, key)
	w.dst = append(w.dst, ':')
}

// plainText tells whether s is its own JSON: printable ASCII without quotes and
// backslashes.
func plainText(s string) bool {
	for i := range len(s) {
		if !plainByte[s[i]] {
			return false
		}
	}
	return true
}

var plainByte = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// escape writes anew what was appended last, as RFC 8259 has it. Text that no
// update may hold is left for Validate to find.
func (w *writer) escape(s string) {
	const hex = "0123456789abcdef"
	w.good = w.good && utf8.ValidString(s)
	w.dst = w.dst[:len(w.dst)-len(s)]
	start := 0
	for i := range len(s) {
		c := s[i]
		if plainByte[c] || c >= utf8.RuneSelf {
			continue
		}
		w.dst = append(w.dst, s[start:i]...)
		start = i + 1
		if c == '"' || c == '\\' {
			w.dst = append(w.dst, '\\', c)
			continue
		}
		w.good = w.good && c != 0
		w.dst = append(w.dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
	w.dst = append(w.dst, s[start:]...)
}

// stampCache writes times; those of one run share all but the fraction of a
// second for a while.
type stampCache struct {
	second int64
	// text is the time up to its second, empty while there is none.
	text []byte
}

// append writes t as RFC 3339 with as many digits as it takes.
func (c *stampCache) append(dst []byte, t time.Time) []byte {
	if t.Location() != time.UTC {
		return t.AppendFormat(dst, time.RFC3339Nano)
	}
	if second := t.Unix(); second != c.second || len(c.text) == 0 {
		c.second, c.text = second, t.AppendFormat(c.text[:0], "2006-01-02T15:04:05")
	}
	dst = append(dst, c.text...)
	if nanos := t.Nanosecond(); nanos != 0 {
		var digits [10]byte
		digits[0] = '.'
		for i := len(digits) - 1; i > 0; i-- {
			digits[i] = byte('0' + nanos%10)
			nanos /= 10
		}
		end := len(digits)
		for digits[end-1] == '0' {
			end--
		}
		dst = append(dst, digits[:end]...)
	}
	return append(dst, 'Z')
}
