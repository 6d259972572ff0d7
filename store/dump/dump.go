// Package dump is a store's tables as they are, for moving a platform from one
// kind of store to another and for checking that it arrived: rows of plain
// values, their sums, and what must hold between the tables of either. It knows
// no kind of database.
package dump

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Table is a table on its way out of a store.
type Table struct {
	Name    string
	Columns []string
	// Next returns the next row, or nil after the last. Cells are nil, int64,
	// string or []byte; truth is 0 or 1. The row is the caller's until the next call.
	Next func() ([]any, error)
}

// Sum is what a table holds, whatever the order of its rows: their number, and
// the sum of their hashes.
type Sum struct {
	Rows int64
	hash [4]uint64
}

// Hash is the sum of the rows' hashes, hex.
func (s Sum) Hash() string {
	var b [32]byte
	for i, word := range s.hash {
		binary.BigEndian.PutUint64(b[i*8:], word)
	}
	return hex.EncodeToString(b[:])
}

// Of reads a table to its end.
func Of(table Table) (Sum, error) {
	var s Sum
	for {
		row, err := table.Next()
		if err != nil || row == nil {
			return s, err
		}
		if err := s.add(table.Columns, row); err != nil {
			return s, fmt.Errorf("sum table %s: %w", table.Name, err)
		}
	}
}

func (s *Sum) add(columns []string, row []any) error {
	h := sha256.New()
	var number [9]byte
	write := func(kind byte, n uint64, content []byte) {
		number[0] = kind
		binary.BigEndian.PutUint64(number[1:], n)
		h.Write(number[:])
		h.Write(content)
	}
	for i, cell := range row {
		write('c', uint64(len(columns[i])), []byte(columns[i]))
		switch v := cell.(type) {
		case nil:
			write('0', 0, nil)
		case int64:
			write('i', uint64(v), nil)
		case string:
			write('s', uint64(len(v)), []byte(v))
		case []byte:
			write('b', uint64(len(v)), v)
		default:
			return fmt.Errorf("column %s holds a %T", columns[i], cell)
		}
	}
	one := Sum{Rows: 1}
	for i, sum := 0, h.Sum(nil); i < len(one.hash); i++ {
		one.hash[i] = binary.BigEndian.Uint64(sum[i*8:])
	}
	s.Merge(one)
	return nil
}

// Merge adds another table's rows.
func (s *Sum) Merge(other Sum) {
	carry := uint64(0)
	for i := len(s.hash) - 1; i >= 0; i-- {
		s.hash[i], carry = bits.Add64(s.hash[i], other.hash[i], carry)
	}
	s.Rows += other.Rows
}

// Rule is something that holds of a tenant's tables at any time: a query that
// counts the rows of which it does not.
type Rule struct{ Name, Count string }

// Rules are those of a tenant's store, in SQL that every kind of store runs.
var Rules = []Rule{
	{"assertions without a standing", `SELECT count(*) FROM assertion a WHERE NOT EXISTS (SELECT 1 FROM standing s WHERE s.assertion = a.id)`},
	{"standings without an assertion", `SELECT count(*) FROM standing s WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = s.assertion)`},
	{"assertions part of no device", `SELECT count(*) FROM standing s WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.id = s.device)`},
	{"devices without an assertion", `SELECT count(*) FROM device d WHERE NOT EXISTS (SELECT 1 FROM standing s WHERE s.device = d.id)`},
	{"devices whose id is nobody's home", `SELECT count(*) FROM device d WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = d.id AND a.home_id = d.device_id)`},
	{"devices that cannot be searched", `SELECT count(*) FROM device d WHERE NOT EXISTS (SELECT 1 FROM device_text t WHERE t.id = d.id)`},
	{"identifiers of no assertion", `SELECT count(*) FROM identifier i WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = i.assertion AND a.source = i.source AND a.partition = i.partition)`},
	{"sources or partitions without a name", `SELECT count(*) FROM assertion a WHERE NOT EXISTS (SELECT 1 FROM name n WHERE n.id = a.source) OR NOT EXISTS (SELECT 1 FROM name n WHERE n.id = a.partition)`},
	{"runs of no source", `SELECT count(*) FROM run r WHERE NOT EXISTS (SELECT 1 FROM source s WHERE s.id = r.source_id)`},
}
