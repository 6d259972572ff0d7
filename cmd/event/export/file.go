package export

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// FileOptions say how a file is rotated.
type FileOptions struct {
	// Path is the file, Cursor that of its cursor.
	Path, Cursor string
	// MaxBytes is when the file is rotated, 0 for never; Keep is how many rotated
	// ones are kept: Path.1 is the latest.
	MaxBytes int64
	Keep     int
}

// File is a file of records, one on each line. What is in it is what was taken:
// each record says its number, so that neither the end of the process at any
// moment nor a rotation by somebody else loses or repeats one.
type File struct {
	options FileOptions
	cursor  *cursor
	file    *os.File
	size    int64
}

// maxLine is far longer than a record is.
const maxLine = 1 << 20

// OpenFile opens a file to go on with.
func OpenFile(options FileOptions) (*File, error) {
	c, err := openCursor(options.Cursor, options.Path)
	if err != nil {
		return nil, err
	}
	f := &File{options: options, cursor: c}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// open opens the file and takes note of what it holds beyond the cursor.
func (f *File) open() error {
	file, err := os.OpenFile(f.options.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open export: %w", err)
	}
	f.file = file
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err == nil {
		err = hold(file)
	}
	if err == nil {
		from := int64(0)
		if identityOf(info) == f.cursor.File && info.Size() >= f.cursor.Offset {
			from = f.cursor.Offset
		}
		f.size, err = f.catchUp(from)
	}
	if err == nil {
		err = f.remember()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open export %s: %w", f.options.Path, err), file.Close())
	}
	return nil
}

// catchUp reads the records from an offset on, and cuts off a last one that was
// not written whole.
func (f *File) catchUp(from int64) (size int64, err error) {
	if _, err := f.file.Seek(from, io.SeekStart); err != nil {
		return 0, err
	}
	lines := bufio.NewReaderSize(f.file, 64<<10)
	for size = from; ; {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return size, f.file.Truncate(size)
		}
		if err != nil {
			return 0, err
		}
		var record struct {
			Metadata struct {
				Tenant   string `json:"tenant_uid"`
				Sequence int64  `json:"sequence"`
			} `json:"metadata"`
		}
		// What is no record of ours is left as it is.
		if json.Unmarshal(line, &record) == nil && record.Metadata.Tenant != "" {
			f.cursor.Positions.advance([]Record{{Tenant: record.Metadata.Tenant, Sequence: record.Metadata.Sequence}})
		}
		size += int64(len(line))
	}
}

// readLine returns a whole line with its end; io.EOF is all that comes after the
// last.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, fmt.Errorf("a line is longer than %d bytes: it is no export", maxLine)
		}
	}
}

// Write implements Sink. The records are on disk when it returns.
func (f *File) Write(records []Record) error {
	if err := f.follow(); err != nil {
		return err
	}
	var lines []byte
	for _, r := range records {
		lines = append(append(lines, r.JSON...), '\n')
	}
	_, err := f.file.Write(lines)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		// Part of it may be there: what is whole counts, the rest is cut off.
		return errors.Join(fmt.Errorf("write export: %w", err), f.file.Close(), f.open())
	}
	f.size += int64(len(lines))
	f.cursor.Positions.advance(records)
	if f.options.MaxBytes > 0 && f.size >= f.options.MaxBytes {
		return f.rotate()
	}
	return f.remember()
}

// follow goes on in a new file where somebody else has moved the old one away.
func (f *File) follow() error {
	there, err := os.Stat(f.options.Path)
	if err == nil {
		var held os.FileInfo
		if held, err = f.file.Stat(); err == nil && os.SameFile(there, held) {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write export: %w", err)
	}
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	return f.open()
}

// rotate puts the file by and begins another. The cursor knows all that is in the
// old one before it is moved.
func (f *File) rotate() error {
	if err := errors.Join(f.remember(), f.file.Close()); err != nil {
		return fmt.Errorf("rotate export: %w", err)
	}
	numbered := func(n int) string { return f.options.Path + "." + strconv.Itoa(n) }
	for n := f.options.Keep; n >= 1; n-- {
		from := numbered(n - 1)
		if n == 1 {
			from = f.options.Path
		}
		if err := os.Rename(from, numbered(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate export: %w", err)
		}
	}
	if f.options.Keep < 1 {
		if err := os.Remove(f.options.Path); err != nil {
			return fmt.Errorf("rotate export: %w", err)
		}
	}
	return f.open()
}

// remember saves the cursor.
func (f *File) remember() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	f.cursor.File, f.cursor.Offset = identityOf(info), f.size
	return f.cursor.save()
}

// Positions implements Sink.
func (f *File) Positions() Positions { return f.cursor.positions() }

// Close implements Sink.
func (f *File) Close() error { return f.file.Close() }
