package core

import (
	"testing"
	"time"

	"edgesync/dire"
	"edgesync/proto/payload"
)

// What is made ready ahead is used in the same scope whenever its turn comes, and in
// no other.
func TestWhatIsReadyIsOfItsScope(t *testing.T) {
	now := time.Now()
	in := &ingestion{stream: payload.Stream{RunID: "r", RunStarted: now.Add(-time.Minute)}, began: now}
	g := &group{updates: []payload.Update{{IP: "10.0.0.1", MAC: "00:1a:2b:00:00:01", Timestamp: now}}}
	chunk := payload.Chunk{Index: 1}
	scope := func(received time.Time) dire.Batch {
		batch := batchOf(Source{Type: payload.TypeArmis, Confidence: 7, Partition: "default"})
		batch.Received, batch.Run = received, in.runOf(g, chunk)
		return batch
	}
	c := &Core{rules: dire.DefaultRules()}
	made, err := c.makeReady(scope(now), g.updates)
	if err != nil {
		t.Fatal(err)
	}
	if !made.isOf(scope(now.Add(time.Hour))) {
		t.Error("it is not used when its turn comes")
	}
	for name, change := range map[string]func(*dire.Batch){
		"source":     func(b *dire.Batch) { b.Source += "x" },
		"type":       func(b *dire.Batch) { b.SourceType = payload.TypeNetBox },
		"confidence": func(b *dire.Batch) { b.Confidence++ },
		"partition":  func(b *dire.Batch) { b.Partition = "warehouse" },
		"run":        func(b *dire.Batch) { b.Run.ID = "s" },
		"chunk":      func(b *dire.Batch) { b.Run.Chunk++ },
	} {
		other := scope(now)
		if change(&other); made.isOf(other) {
			t.Errorf("it is used for another %s", name)
		}
	}
	if none := (ready{}); none.isOf(dire.Batch{}) {
		t.Error("nothing is used for something")
	}
}
