package outbox

import (
	"bytes"
	"encoding/json"
	"fmt"

	"edgesync/proto/payload"
)

// A chunk lies on disk as the results message it is sent as, an update to a line.
// What the sync_meta of its updates says there is what was known when they were
// written: whose run it is. How long the run became and whether it is a snapshot
// the call's own metadata says, to a gateway of ours; for one that reads updates
// alone a lease adds it to each of them.

// The punctuation of a chunk.
const (
	arrayOpen  = "["
	separator  = ",\n"
	arrayClose = "]"
	// metaClose ends the sync_meta of an update, and the update.
	metaClose = "}}"
)

// openMeta is how each update of a run ends: the member sync_meta with what is
// known at its beginning.
func openMeta(head Head) ([]byte, error) {
	encoded, err := json.Marshal(payload.SyncMeta{SyncServiceID: head.ServiceID, SyncRunID: head.ID, RunStarted: &head.Started})
	if err != nil {
		return nil, fmt.Errorf("encode run: %w", err)
	}
	return fmt.Appendf(nil, `,"sync_meta":%s}`, encoded), nil
}

// lateMeta are the members of sync_meta that are known at a run's end. A chunk that
// is sent apart from the others has no place among them.
func lateMeta(dst []byte, run Run, index int, apart bool) []byte {
	if apart {
		return fmt.Appendf(dst, `,"mode":%q`, payload.ModeIncremental)
	}
	return fmt.Appendf(dst, `,"chunk_index":%d,"total_chunks":%d,"total_devices":%d,"is_final":%t,"mode":%q`,
		index, run.Chunks, run.Updates, index == run.Chunks-1, run.Mode)
}

// longestLate is how long they may become.
var longestLate = len(lateMeta(nil, Run{Mode: payload.ModeIncremental, Chunks: payload.MaxServices, Updates: 1e9}, payload.MaxServices-1, false))

// complete adds late members to the sync_meta of every update of a chunk. It
// returns how many there are.
func complete(dst, chunk, late []byte) (message []byte, updates int, err error) {
	rest, ok := bytes.CutPrefix(chunk, []byte(arrayOpen))
	if rest, ok = cutSuffix(rest, ok, arrayClose); !ok {
		return dst, 0, errDamaged
	}
	dst = append(dst, arrayOpen...)
	for len(rest) > 0 {
		update, next, more := bytes.Cut(rest, []byte(separator))
		if updates++; updates > 1 {
			dst = append(dst, separator...)
		}
		if update, ok = cutSuffix(update, true, metaClose); !ok || more && len(next) == 0 {
			return dst, updates, errDamaged
		}
		dst = append(append(append(dst, update...), late...), metaClose...)
		rest = next
	}
	return append(dst, arrayClose...), updates, nil
}

func cutSuffix(s []byte, ok bool, suffix string) ([]byte, bool) {
	if !ok {
		return s, false
	}
	return bytes.CutSuffix(s, []byte(suffix))
}
