package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"

	"edgesync/proto/payload"
)

// A record is one chunk on disk: a head of recordHead bytes, big endian, and
// the zstd frame of its JSON.
//
//	0  length of the frame
//	4  number of updates
//	8  CRC-32C of the frame and of the eight bytes before
const recordHead = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that a record is not what was written.
var errDamaged = errors.New("the file is damaged")

func appendRecord(dst []byte, encoder *zstd.Encoder, json []byte, updates int) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHead)...)
	dst = encoder.EncodeAll(json, dst)
	head, frame := dst[start:start+recordHead], dst[start+recordHead:]
	binary.BigEndian.PutUint32(head[0:], uint32(len(frame)))
	binary.BigEndian.PutUint32(head[4:], uint32(updates))
	binary.BigEndian.PutUint32(head[8:], checksum(head, frame))
	return dst
}

func checksum(head, frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame, castagnoli), castagnoli, head[:8])
}

// readRecord returns the next record's JSON, in dst's memory, and its number of
// updates. It ends with io.EOF.
func readRecord(r io.Reader, decoder *zstd.Decoder, frame, dst []byte) (newFrame, json []byte, updates int, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errDamaged
		}
		return frame, nil, 0, err
	}
	size := int(binary.BigEndian.Uint32(head[0:]))
	if size > payload.ChunkMax {
		return frame, nil, 0, errDamaged
	}
	if cap(frame) < size {
		frame = make([]byte, size)
	}
	frame = frame[:size]
	if _, err := io.ReadFull(r, frame); err != nil {
		return frame, nil, 0, errDamaged
	}
	if checksum(head[:], frame) != binary.BigEndian.Uint32(head[8:]) {
		return frame, nil, 0, errDamaged
	}
	json, err = decoder.DecodeAll(frame, dst[:0])
	if err != nil {
		return frame, nil, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return frame, json, int(binary.BigEndian.Uint32(head[4:])), nil
}
