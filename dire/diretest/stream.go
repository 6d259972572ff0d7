package diretest

import (
	"fmt"
	"slices"
	"time"

	"edgesync/dire"
)

// Draw picks a number from 0 to below n; the label says what for.
type Draw func(n int, label string) int

// Epoch is when streams begin.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Minutes is a time of a stream.
func Minutes(n int) time.Time { return Epoch.Add(time.Duration(n) * time.Minute) }

// Stream draws what sources and operators say: over a handful of sources, ids
// and addresses, so that nearly everything collides. Some updates are ones it
// drew before.
type Stream struct {
	Draw Draw
	// Moves lets sources change their partition; SeenAt is when everything is
	// seen, any time unless set.
	Moves  bool
	SeenAt time.Time
	// Batches bounds a stream's length, 8 unless set.
	Batches int
	said    []dire.Update
}

func pick[V any](draw Draw, label string, values ...V) V { return values[draw(len(values), label)] }

func (s *Stream) some(label string, upTo int, values ...string) []string {
	list := make([]string, s.Draw(upTo+1, label))
	for i := range list {
		list[i] = pick(s.Draw, label, values...)
	}
	return list
}

func (s *Stream) update() dire.Update {
	u := dire.Update{
		NativeID: pick(s.Draw, "native", "", "", "1", "2", "3", "4", "5"),
		Hostname: pick(s.Draw, "host", "", "a", "B.", "c"),
		Model:    pick(s.Draw, "model", "", "x", "y"),
		MACs: s.some("macs", 2, "00:1b:21:00:00:01", "001B.2100.0002", "00-1b-21-00-00-03", "00:1b:21:00:00:04",
			"02:00:00:00:00:05", "00:00:5e:00:01:06", "ff:ff:ff:ff:ff:ff"),
		IPs:     s.some("ips", 2, "10.0.0.1", "10.0.0.2/24", "10.0.0.3", "::ffff:10.0.0.1", "fe80::1%eth0", "127.0.0.1"),
		Deleted: s.Draw(8, "deleted") == 7,
	}
	if s.Draw(3, "has serial") == 2 {
		u.Manufacturer = pick(s.Draw, "maker", "Dell", "dell ", "HP")
		u.SerialNumber = pick(s.Draw, "serial", "S-1001", "s-1001", "S-1002", "Default string")
	}
	return u
}

// Batch draws what one source says.
func (s *Stream) Batch() dire.Batch {
	source := s.source()
	b := dire.Batch{
		Source: source, SourceType: source, Partition: "p1",
		Confidence: map[string]int{"armis": 7, "netbox": 7, "sweep": 3}[source],
		Received:   Minutes(15),
		Updates:    make([]dire.Update, 1+s.Draw(5, "updates")),
	}
	for i := range b.Updates {
		u := s.update()
		if len(s.said) > 0 && s.Draw(3, "again") == 2 {
			u = s.said[s.Draw(len(s.said), "said")]
		}
		if u.SeenAt = s.SeenAt; s.SeenAt.IsZero() {
			u.SeenAt = Minutes(s.Draw(26, "seen") - 5)
		}
		b.Updates[i] = u
	}
	s.said = append(s.said, b.Updates...)
	if s.Moves {
		b.Partition = pick(s.Draw, "partition", "p1", "p1", "p2")
	}
	start := 1 + s.Draw(5, "run")
	b.Run = dire.Run{ID: fmt.Sprint("run", start), Started: Minutes(start)}
	return b
}

func (s *Stream) source() string { return pick(s.Draw, "source", "armis", "netbox", "sweep") }

// Retractions draws what a snapshot was without, of what is stored.
func (s *Stream) Retractions(rows map[dire.Ref]dire.Assertion) dire.Retractions {
	r := dire.Retractions{
		Source: s.source(), Received: Minutes(15), Rule: dire.RuleAbsent, Runs: []string{"run1", "run2"},
	}
	at := Minutes(1 + s.Draw(5, "snapshot"))
	for _, ref := range refs(rows) {
		if ref.Source == r.Source && s.Draw(3, "absent") == 2 {
			r.Things = append(r.Things, dire.Retraction{Key: ref.Key, At: at})
		}
	}
	r.Things = append(r.Things, dire.Retraction{Key: "id:never", At: at})
	return r
}

func refs(rows map[dire.Ref]dire.Assertion) []dire.Ref {
	var list []dire.Ref
	for ref := range rows {
		list = append(list, ref)
	}
	slices.SortFunc(list, func(a, b dire.Ref) int {
		return slices.Compare([]string{a.Source, a.Key}, []string{b.Source, b.Key})
	})
	return list
}

// LinkChange draws what an operator says of two stored assertions, or of none
// when there are too few.
func (s *Stream) LinkChange(rows map[dire.Ref]dire.Assertion) dire.LinkChange {
	c := dire.LinkChange{At: Minutes(16), By: "local:0", Reason: "because"}
	list := refs(rows)
	if len(list) < 2 {
		return c
	}
	i := s.Draw(len(list), "one")
	j := (i + 1 + s.Draw(len(list)-1, "other")) % len(list)
	pair := []dire.Pair{dire.PairOf(rows[list[i]].HomeID, rows[list[j]].HomeID)}
	switch s.Draw(5, "word") {
	case 0, 1:
		c.Link = pair
	case 2, 3:
		c.Apart = pair
	default:
		c.Drop = pair
	}
	return c
}
