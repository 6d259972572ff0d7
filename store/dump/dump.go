// Package dump is a store's tables as they are, for moving a platform from one
// kind of store to another and for checking that it arrived: rows of plain
// values, their sums, and what must hold between the tables of either. It knows
// no kind of database.
package dump

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/google/uuid"
)

// Table is a table on its way out of a store.
type Table struct {
	Name    string
	Columns []string
	// Next returns the next row, or nil after the last. Cells are nil, int64,
	// string or []byte; truth is 0 or 1. The row is the caller's until the next call.
	Next func() ([]any, error)
}

// Part is a part of a store: the platform's, whose id is zero, or one tenant's.
type Part struct {
	Tenant uuid.UUID `json:"tenant"`
	Slug   string    `json:"slug"`
	// Version is that of its schema.
	Version int64 `json:"version"`
}

// Name is the part as people call it.
func (p Part) Name() string {
	if p.Tenant == uuid.Nil {
		return "the platform's part"
	}
	return "tenant " + p.Slug
}

// Platform is whose parts they are.
type Platform struct {
	TenantID    uuid.UUID `json:"tenant_id"`
	Slug        string    `json:"slug"`
	TrustDomain string    `json:"trust_domain"`
}

// Source hands every table of a part to visit, which must read each before it
// returns.
type Source func(visit func(Table) error) error

// Sums are those of the tables of a part, by name.
type Sums map[string]Sum

// SumsOf reads everything a source hands out.
func SumsOf(from Source) (Sums, error) {
	sums := Sums{}
	err := from(func(table Table) error {
		sum, err := Of(table)
		sums[table.Name] = sum
		return err
	})
	return sums, err
}

// Total is over all tables.
func (s Sums) Total() Sum {
	var total Sum
	for _, sum := range s {
		total.Merge(sum)
	}
	return total
}

// Compare is an error that names the first table of which arrived is not what
// was sent. A table that is on one side only must be empty.
func (s Sums) Compare(arrived Sums) error {
	var names []string
	for _, sums := range []Sums{s, arrived} {
		for name := range sums {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if s[name] != arrived[name] {
			return fmt.Errorf("table %s has %d rows with hash %s, and %d with %s arrived",
				name, s[name].Rows, s[name].Hash(), arrived[name].Rows, arrived[name].Hash())
		}
	}
	return nil
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

// ParseSum is the sum that has a number of rows and a Hash.
func ParseSum(rows int64, hash string) (Sum, error) {
	s := Sum{Rows: rows}
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != 8*len(s.hash) {
		return Sum{}, errors.New("read sum: it is not the hex of 32 bytes")
	}
	for i := range s.hash {
		s.hash[i] = binary.BigEndian.Uint64(b[i*8:])
	}
	return s, nil
}

// Of reads a table to its end.
func Of(table Table) (Sum, error) {
	var s Sum
	counted := s.Over(table)
	for {
		row, err := counted.Next()
		if err != nil || row == nil {
			return s, err
		}
	}
}

// Over is the table with each row added to the sum as it is read.
func (s *Sum) Over(table Table) Table {
	next := table.Next
	table.Next = func() ([]any, error) {
		row, err := next()
		if err != nil || row == nil {
			return nil, err
		}
		if err := s.add(table.Columns, row); err != nil {
			return nil, fmt.Errorf("sum table %s: %w", table.Name, err)
		}
		return row, nil
	}
	return table
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

// Skipped compares the versions that were applied to a schema with those that a
// program knows, and tells of those up to the latest that were left out.
func Skipped(known, applied []int64) []string {
	var skipped []string
	for _, version := range known {
		if !slices.Contains(applied, version) && len(applied) > 0 && version < slices.Max(applied) {
			skipped = append(skipped, fmt.Sprintf("migration %d was never applied", version))
		}
	}
	return skipped
}

// Rule is something that holds of a tenant's tables at any time: a query that
// counts the rows of which it does not.
type Rule struct{ Name, Count string }

// Rules are those of a tenant's store, in SQL that every kind of store runs.
var Rules = []Rule{
	{"assertions that say nothing", `SELECT count(*) FROM assertion a WHERE NOT EXISTS (SELECT 1 FROM fact f WHERE f.assertion = a.id)`},
	{"facts without an assertion", `SELECT count(*) FROM fact f WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = f.assertion)`},
	{"assertions part of no device", `SELECT count(*) FROM assertion a WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.id = a.device)`},
	{"devices without an assertion", `SELECT count(*) FROM device d WHERE d.id NOT IN (SELECT a.device FROM assertion a)`},
	{"devices whose id is nobody's home", `SELECT count(*) FROM device d WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = d.id)`},
	{"devices that cannot be searched", `SELECT count(*) FROM device d WHERE NOT EXISTS (SELECT 1 FROM device_text t WHERE t.id = d.id)`},
	{"identifiers of no assertion", `SELECT count(*) FROM identifier i WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = i.assertion AND a.source = i.source AND a.partition = i.partition)`},
	{"sources or partitions without a name", `SELECT count(*) FROM assertion a WHERE NOT EXISTS (SELECT 1 FROM name n WHERE n.id = a.source) OR NOT EXISTS (SELECT 1 FROM name n WHERE n.id = a.partition)`},
	{"texts of no device", `SELECT count(*) FROM device_text t WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.id = t.id)`},
	{"identifiers that are found where their assertion is not", `SELECT count(*) FROM identifier i JOIN assertion a ON a.id = i.assertion WHERE i.class % 2 <> CASE WHEN a.retracted_at IS NULL THEN 0 ELSE 1 END`},
	{"links of no assertion", `SELECT count(*) FROM link l WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = l.assertion) OR NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = l.other)`},
	{"links that are there on one side only", `SELECT count(*) FROM link l WHERE NOT EXISTS (SELECT 1 FROM link m WHERE m.assertion = l.other AND m.other = l.assertion)`},
	{"subjects of no decision", `SELECT count(*) FROM decision_subject s WHERE NOT EXISTS (SELECT 1 FROM decision d WHERE d.id = s.decision)`},
	{"decisions about no assertion", `SELECT count(*) FROM decision_subject s WHERE NOT EXISTS (SELECT 1 FROM assertion a WHERE a.id = s.assertion)`},
	{"runs of no source", `SELECT count(*) FROM run r WHERE NOT EXISTS (SELECT 1 FROM source s WHERE s.id = r.source_id)`},
}
