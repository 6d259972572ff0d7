package payload

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
	"google.golang.org/grpc/codes"
)

// EncodingPacked is what a gateway says it takes (HeaderEncodings) that reads
// results messages also packed: the mark and the S2 block of the JSON. No JSON
// begins as the mark does, so that a packed message needs no other word.
const EncodingPacked = "s2"

const packedMark = "\x00s2\x01"

// AppendPacked adds the packed form of a results message to dst. It takes an
// eighth of the bytes, for less time than these would take to encrypt and send.
func AppendPacked(dst, message []byte) []byte {
	dst = slices.Grow(dst, len(packedMark)+s2.MaxEncodedLen(len(message)))
	dst = append(dst, packedMark...)
	block := s2.Encode(dst[len(dst):cap(dst)], message)
	return dst[:len(dst)+len(block)]
}

// IsPacked tells whether a results message is packed.
func IsPacked(message []byte) bool { return bytes.HasPrefix(message, []byte(packedMark)) }

// Unpack returns the JSON of a packed message, in dst's memory if it fits there,
// and never more than limit bytes of it. An error is an *UpdateError.
func Unpack(dst, message []byte, limit int) ([]byte, error) {
	block, packed := bytes.CutPrefix(message, []byte(packedMark))
	length, err := s2.DecodedLen(block)
	if packed && err == nil && length > limit {
		return nil, &UpdateError{Index: -1, Code: codes.ResourceExhausted, Reason: fmt.Sprintf("the message unpacks to more than %d bytes", limit)}
	}
	var unpacked []byte
	if packed && err == nil {
		unpacked, err = s2.Decode(dst[:cap(dst)], block)
	}
	if !packed || err != nil {
		return nil, refusal(-1, errors.New("the message is packed and cannot be unpacked"))
	}
	return unpacked, nil
}
