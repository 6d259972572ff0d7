package outbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"edgesync/proto/payload"
)

// A run's file is its head, its chunks and its tail. Head and tail are JSON
// framed by a magic, their length and their checksum; the tail's frame stands
// behind its JSON, so that it is found from the end of the file and only a file
// that was written to its end has one.
//
// A chunk is recordHead bytes, big endian, and its results message, packed:
//
//	0   length of the message
//	4   number of updates
//	8   place in the run, from 0
//	12  CRC-32C of the message and of the twelve bytes before
const recordHead = 16

// The frame of head and tail: 8 bytes of magic, the length and the CRC-32C of
// JSON, magic and length.
const frameSize = 16

const (
	headMagic = "esrun\x02h\n"
	tailMagic = "esrun\x02t\n"
	// maxMeta is the longest head or tail that is believed.
	maxMeta = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that a file is not what was written.
var errDamaged = errors.New("the file is damaged")

func appendRecord(dst, message []byte, updates, index int) []byte {
	start := len(dst)
	dst = payload.AppendPacked(append(dst, make([]byte, recordHead)...), message)
	head, packed := dst[start:start+recordHead], dst[start+recordHead:]
	binary.BigEndian.PutUint32(head[0:], uint32(len(packed)))
	binary.BigEndian.PutUint32(head[4:], uint32(updates))
	binary.BigEndian.PutUint32(head[8:], uint32(index))
	binary.BigEndian.PutUint32(head[12:], checksum(packed, head[:12]))
	return dst
}

func checksum(body, head []byte) uint32 {
	return crc32.Update(crc32.Checksum(body, castagnoli), castagnoli, head)
}

// readRecord returns the packed message of a chunk, in dst's memory, and its
// number of updates. It ends with io.EOF.
func readRecord(r io.Reader, index int, dst []byte) (packed []byte, updates int, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errDamaged
		}
		return dst, 0, err
	}
	size := int(binary.BigEndian.Uint32(head[0:]))
	if size > payload.ChunkMax || int(binary.BigEndian.Uint32(head[8:])) != index {
		return dst, 0, errDamaged
	}
	packed = slices.Grow(dst[:0], size)[:size]
	if _, err := io.ReadFull(r, packed); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errDamaged
		}
		return packed, 0, err
	}
	if checksum(packed, head[:12]) != binary.BigEndian.Uint32(head[12:]) {
		return packed, 0, errDamaged
	}
	return packed, int(binary.BigEndian.Uint32(head[4:])), nil
}

func appendFrame(dst []byte, magic string, meta []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(meta)))
	return binary.BigEndian.AppendUint32(dst, checksum(meta, dst[start:]))
}

func encodeHead(head Head) ([]byte, error) {
	meta, err := encodeMeta(head)
	if err != nil {
		return nil, err
	}
	return append(appendFrame(nil, headMagic, meta), meta...), nil
}

func encodeTail(run Run) ([]byte, error) {
	meta, err := encodeMeta(run)
	if err != nil {
		return nil, err
	}
	return appendFrame(meta, tailMagic, meta), nil
}

func encodeMeta(v any) ([]byte, error) {
	meta, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode run: %w", err)
	}
	if len(meta) > maxMeta {
		return nil, fmt.Errorf("%w: what is known of the run takes %d bytes", ErrTooLarge, len(meta))
	}
	return meta, nil
}

// metaLength reads a frame.
func metaLength(frame []byte, magic string) (int64, bool) {
	length := binary.BigEndian.Uint32(frame[len(magic):])
	return int64(length), string(frame[:len(magic)]) == magic && length <= maxMeta
}

func decodeMeta(frame, meta []byte, into any) error {
	if checksum(meta, frame[:12]) != binary.BigEndian.Uint32(frame[12:]) || json.Unmarshal(meta, into) != nil {
		return errDamaged
	}
	return nil
}

// readHead returns what a file says at its beginning, and where its chunks begin.
func readHead(f io.ReaderAt) (head Head, chunks int64, err error) {
	frame := make([]byte, frameSize)
	if err := readAt(f, frame, 0); err != nil {
		return Head{}, 0, err
	}
	length, ok := metaLength(frame, headMagic)
	if !ok {
		return Head{}, 0, errDamaged
	}
	meta := make([]byte, length)
	if err := readAt(f, meta, frameSize); err != nil {
		return Head{}, 0, err
	}
	return head, frameSize + length, decodeMeta(frame, meta, &head)
}

// readTail returns what a file of some size says at its end, and where its
// chunks end.
func readTail(f io.ReaderAt, size int64) (run Run, chunks int64, err error) {
	frame := make([]byte, frameSize)
	if err := readAt(f, frame, size-frameSize); err != nil {
		return Run{}, 0, err
	}
	length, ok := metaLength(frame, tailMagic)
	if !ok {
		return Run{}, 0, errDamaged
	}
	meta := make([]byte, length)
	if err := readAt(f, meta, size-frameSize-length); err != nil {
		return Run{}, 0, err
	}
	return run, size - frameSize - length, decodeMeta(frame, meta, &run)
}

func readAt(f io.ReaderAt, into []byte, offset int64) error {
	if offset < 0 {
		return errDamaged
	}
	n, err := f.ReadAt(into, offset)
	switch {
	case n == len(into):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return errDamaged
	}
	return err
}
