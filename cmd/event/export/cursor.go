// Package export brings events to where others keep them: a file that is rotated,
// or a syslog server. It remembers how far it came, so that after any end it goes
// on where it stopped. It knows records and their numbers; it knows nothing of
// where events come from.
package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// Record is one event on its way out.
type Record struct {
	// Tenant is the id of whose it is, Sequence its number among that one's.
	Tenant   string
	Sequence int64
	// Type, Severity and Time are the event's own, JSON the record on one line.
	Type, Severity string
	UnixMilli      int64
	JSON           []byte
}

// Positions are how far an export came: by tenant, the number of the last event.
type Positions map[string]int64

// advance takes note of records.
func (p Positions) advance(records []Record) {
	for _, r := range records {
		p[r.Tenant] = max(p[r.Tenant], r.Sequence)
	}
}

// Sink takes records. It belongs to one goroutine.
type Sink interface {
	// Write takes records; after an error, Positions says from where on to give
	// them again.
	Write(records []Record) error
	// Positions is how far what was written has certainly come.
	Positions() Positions
	// Close gives all that was written the time it needs.
	Close() error
}

// cursor is the file in which an export remembers how far it came.
type cursor struct {
	path string
	// To is what the positions are of: another destination begins anew.
	To        string    `json:"to"`
	Positions Positions `json:"positions"`
	// File and Offset are which file the last record went to, and up to where.
	File   string `json:"file,omitempty"`
	Offset int64  `json:"offset,omitempty"`
}

// openCursor reads a cursor; one that is not there yet is empty.
func openCursor(path, to string) (*cursor, error) {
	c := &cursor{path: path}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read cursor: %w", err)
	case json.Unmarshal(data, c) != nil:
		return nil, fmt.Errorf("read cursor %s: it is damaged: remove it to export everything again", path)
	case c.To != to:
		return nil, fmt.Errorf("read cursor %s: it is of an export to %s: name another with --cursor", path, c.To)
	}
	c.To = to
	if c.Positions == nil {
		c.Positions = Positions{}
	}
	return c, nil
}

// save writes the cursor beside its file and puts it in its place.
func (c *cursor) save() (err error) {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write cursor: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write cursor: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), c.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write cursor: %w", err), os.Remove(file.Name()))
	}
	return nil
}

func (c *cursor) positions() Positions { return maps.Clone(c.Positions) }
