package dire

// graph is which assertions hold which identifiers, before and after a batch.
type graph struct {
	idents []ident
	byKey  map[identKey]int32
	// refs are in the order of the nodes: those of node i are refs[from[i]:from[i+1]].
	refs []ref
	from []int32
	// partitions gives each partition a small number.
	partitions []string
}

// ident is an identifier of a partition. An address is one ident, whether strong
// or weak assertions hold it.
type ident struct {
	Identifier
	partition string
	// last is its latest ref.
	last int32
	// walked tells how far the walk went from it.
	walked stride
	// ambiguous is true for what rule (a) takes away after the batch.
	ambiguous bool
	// touched is true for an address of an affected strong assertion.
	touched bool
	// tenancy is which device has the address, once it is asked for.
	tenancy tenancy
}

type identKey struct {
	partition int32
	class     identClass
	value     string
}

type identClass uint8

const (
	classMAC identClass = iota
	classSerial
	classAddress
)

func classOfKind(kind IdentifierKind) identClass {
	switch kind {
	case IdentifierMAC:
		return classMAC
	case IdentifierSerial:
		return classSerial
	}
	return classAddress
}

// ref says that a node holds an ident, in which of the two states. prev leads to
// the ident's ref before it, or is -1.
type ref struct {
	node, ident, prev int32
	old, now          bool
}

func (r *ref) in(now bool) bool {
	if now {
		return r.now
	}
	return r.old
}

// index fills the graph from the nodes. Addresses are left out where no weak
// assertion could look for them.
func (g *graph) index(nodes []node) {
	count, weak := 0, false
	for i := range nodes {
		n := &nodes[i]
		count += len(n.ids)
		weak = weak || !n.strong
	}
	g.byKey = make(map[identKey]int32, count)
	g.idents = make([]ident, 0, count)
	g.refs = make([]ref, 0, count)
	g.from = make([]int32, 1, len(nodes)+1)
	for i := range nodes {
		n := &nodes[i]
		first := int32(len(g.refs))
		g.addAll(int32(i), first, n.now.Partition, n.ids, weak, true)
		if n.changed && n.old != nil {
			g.addAll(int32(i), first, n.old.Partition, n.oldIDs, weak, false)
		} else if n.old != nil {
			for r := first; r < int32(len(g.refs)); r++ {
				g.refs[r].old = true
			}
		}
		g.from = append(g.from, int32(len(g.refs)))
	}
}

// addAll adds the identifiers a node has in one of the states; first is the
// node's first ref.
func (g *graph) addAll(node, first int32, partition string, ids []Identifier, addresses, now bool) {
	part := g.partition(partition)
	for _, id := range ids {
		if !addresses && !hardware(id.Kind) {
			continue
		}
		key := identKey{part, classOfKind(id.Kind), id.Value}
		at, ok := g.byKey[key]
		if !ok {
			at = int32(len(g.idents))
			g.byKey[key] = at
			g.idents = append(g.idents, ident{Identifier: id, partition: partition, last: -1})
		}
		held := &g.idents[at]
		if held.last < first {
			g.refs = append(g.refs, ref{node: node, ident: at, prev: held.last})
			held.last = int32(len(g.refs) - 1)
		}
		if now {
			g.refs[held.last].now = true
		} else {
			g.refs[held.last].old = true
		}
	}
}

func (g *graph) partition(name string) int32 {
	for i, p := range g.partitions {
		if p == name {
			return int32(i)
		}
	}
	g.partitions = append(g.partitions, name)
	return int32(len(g.partitions) - 1)
}

// of returns the refs of a node.
func (g *graph) of(node int32) []ref { return g.refs[g.from[node]:g.from[node+1]] }

// sources is a small set of sources. An identifier or a component has few.
type sources struct{ names []string }

func (s *sources) reset() { s.names = s.names[:0] }

// add tells whether the source was in the set already.
func (s *sources) add(name string) bool {
	for _, n := range s.names {
		if n == name {
			return true
		}
	}
	s.names = append(s.names, name)
	return false
}
