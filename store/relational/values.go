package relational

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// micros is a time as stored: microseconds since 1970 UTC, or nil for the zero
// time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// timeColumn scans what micros made.
type timeColumn struct{ into *time.Time }

func (c timeColumn) Scan(value any) error {
	var n sql.NullInt64
	if err := n.Scan(value); err != nil {
		return err
	}
	*c.into = time.Time{}
	if n.Valid {
		*c.into = time.UnixMicro(n.Int64).UTC()
	}
	return nil
}

// seenColumn scans what deviceSeen reads.
type seenColumn struct{ into *time.Time }

func (c seenColumn) Scan(value any) error {
	*c.into = time.Time{}
	if value == nil {
		return nil // There is no sighting.
	}
	b, ok := value.([]byte)
	if !ok || len(b) != 8 {
		return errors.New("read when a device was seen: it is not stored as eight bytes: check the store")
	}
	*c.into = timeOf(int64(binary.BigEndian.Uint64(b)))
	return nil
}

// id is a UUID as stored: its text, or an empty one for the zero UUID.
func id(u uuid.UUID) string {
	if u == uuid.Nil {
		return ""
	}
	return u.String()
}

// idColumn scans what id made.
type idColumn struct{ into *uuid.UUID }

func (c idColumn) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("read id: it is stored as %T", value)
	}
	*c.into = uuid.Nil
	if text == "" {
		return nil
	}
	u, err := uuid.Parse(text)
	if err != nil {
		return fmt.Errorf("read id %q: %w", text, err)
	}
	*c.into = u
	return nil
}

// jsonList is a slice as stored, "" for none.
func jsonList[T any](v []T) string {
	if len(v) == 0 {
		return ""
	}
	return encode(v)
}

// jsonMap is a map as stored, "" for none.
func jsonMap[T any](v map[string]T) string {
	if len(v) == 0 {
		return ""
	}
	return encode(v)
}

// encode is for types that JSON can always carry.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(b)
}

// jsonColumn scans what jsonList and jsonMap made.
type jsonColumn[T any] struct{ into *T }

func (c jsonColumn[T]) Scan(value any) error {
	var none T
	*c.into = none
	switch v := value.(type) {
	case string:
		if v == "" {
			return nil
		}
		return json.Unmarshal([]byte(v), c.into)
	default:
		return fmt.Errorf("read list: it is stored as %T", value)
	}
}

// ScanID scans a UUID as stored.
func ScanID(into *uuid.UUID) sql.Scanner { return idColumn{into} }

func asJSON[T any](into *T) jsonColumn[T] { return jsonColumn[T]{into} }

// blob is bytes as stored: none are an empty blob, not NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// addMicros appends what micros makes of a time.
func (c *Ints) addMicros(t time.Time) {
	if t.IsZero() {
		c.AddNull()
		return
	}
	c.Add(t.UnixMicro())
}
