package source

import (
	"slices"
)

// IDSet remembers which ids a run has met. Ids of inventories are numbers a
// database handed out one after the other, so they lie close together: a million
// of them take some hundred kilobytes. The zero value is empty.
type IDSet struct {
	blocks map[uint64]*idBlock
	size   int64
}

// idBlock holds the low 16 bits of ids that share the others: sorted while they
// are few, a bitmap once that is smaller.
type idBlock struct {
	few  []uint16
	many *[1 << 10]uint64
}

// manyIDs is where a bitmap of 8 KiB becomes the smaller of the two.
const manyIDs = 4096

// Add puts an id into the set; false when it was there already.
func (s *IDSet) Add(id ID) bool {
	block := s.blocks[uint64(id)>>16]
	if block == nil {
		if s.blocks == nil {
			s.blocks = map[uint64]*idBlock{}
		}
		block = &idBlock{}
		s.blocks[uint64(id)>>16] = block
	}
	if !block.add(uint16(id)) {
		return false
	}
	s.size++
	return true
}

// Has tells whether an id is in the set.
func (s *IDSet) Has(id ID) bool {
	block := s.blocks[uint64(id)>>16]
	if block == nil {
		return false
	}
	low := uint16(id)
	if block.many != nil {
		return block.many[low>>6]&(1<<(low&63)) != 0
	}
	_, found := slices.BinarySearch(block.few, low)
	return found
}

// Len is how many ids are in the set.
func (s *IDSet) Len() int64 { return s.size }

func (b *idBlock) add(low uint16) bool {
	if b.many == nil {
		at, found := slices.BinarySearch(b.few, low)
		if found {
			return false
		}
		if len(b.few) < manyIDs {
			b.few = slices.Insert(b.few, at, low)
			return true
		}
		b.many = new([1 << 10]uint64)
		for _, other := range b.few {
			b.many[other>>6] |= 1 << (other & 63)
		}
		b.few = nil
	}
	word, bit := &b.many[low>>6], uint64(1)<<(low&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
