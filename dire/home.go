package dire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// idPrefix marks the ids of devices.
const idPrefix = "sr:"

// homeID derives an assertion's own id: "sr:" and a UUID of version 8 (RFC 9562)
// over the length-prefixed partition, source and key. A counter above 0 is added
// where the id is taken.
func homeID(partition, source, key string, counter uint64) string {
	var space [256]byte
	buf := space[:0]
	for _, part := range [...]string{partition, source, key} {
		buf = binary.AppendUvarint(buf, uint64(len(part)))
		buf = append(buf, part...)
	}
	if counter > 0 {
		buf = binary.AppendUvarint(buf, counter)
	}
	sum := sha256.Sum256(buf)
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	var text [len(idPrefix) + 36]byte
	copy(text[:], idPrefix)
	id := text[len(idPrefix):]
	hex.Encode(id[0:8], sum[0:4])
	hex.Encode(id[9:13], sum[4:6])
	hex.Encode(id[14:18], sum[6:8])
	hex.Encode(id[19:23], sum[8:10])
	hex.Encode(id[24:36], sum[10:16])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	return string(text[:])
}
