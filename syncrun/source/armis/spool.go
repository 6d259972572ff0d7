package armis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

// spool holds devices whose labels are not all known yet, in a compressed file
// that lost its name as soon as it was made: no end of the process leaves it behind.
type spool struct {
	file   *os.File
	packer *zstd.Encoder
	writer *json.Encoder
}

// window bounds what packing and unpacking keep in memory.
const window = 256 << 10

// entry is a spooled device.
type entry struct {
	ID     source.ID      `json:"id"`
	Update payload.Update `json:"update"`
}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "edgesync-armis-*")
	if err != nil {
		return nil, fmt.Errorf("make file for devices of several queries: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink file for devices of several queries: %w", err), file.Close())
	}
	packer, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pack devices of several queries: %w", err), file.Close())
	}
	return &spool{file: file, packer: packer, writer: json.NewEncoder(packer)}, nil
}

func (s *spool) add(id source.ID, update payload.Update) error {
	if err := s.writer.Encode(entry{ID: id, Update: update}); err != nil {
		return fmt.Errorf("keep devices of several queries: %w", err)
	}
	return nil
}

// each hands back what was added, in that order. Nothing can be added after.
func (s *spool) each(ctx context.Context, visit func(source.ID, payload.Update) error) error {
	if err := s.packer.Close(); err != nil {
		return fmt.Errorf("keep devices of several queries: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read devices of several queries: %w", err)
	}
	unpacker, err := zstd.NewReader(s.file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("unpack devices of several queries: %w", err)
	}
	defer unpacker.Close()
	for reader := json.NewDecoder(unpacker); ; {
		var e entry
		switch err := reader.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read devices of several queries: %w", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := visit(e.ID, e.Update); err != nil {
			return err
		}
	}
}

// close gives the file's space back. It may come at any time.
func (s *spool) close() error {
	return s.file.Close()
}
