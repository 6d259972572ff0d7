package syncrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"edgesync/proto/payload"
)

const (
	// reportsFile lies in the data directory.
	reportsFile = "reports"
	// reportLogSlack is how much of the file may be about reports that were
	// answered.
	reportLogSlack = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// reportLog keeps the reports of runs over the end of the process: a line for
// each that is added and for those that were answered, so that a run costs a line
// however many others wait. It is synced to no disk; after a power cut the runs of
// the last seconds are told of by what the gateway itself has seen of them. What
// goes wrong with it costs reports after a restart, nothing else.
type reportLog struct {
	path string
	file *os.File
	// size is how long it is, limit when it is written anew.
	size, limit int64
	// behind says that the file is not what it should be.
	behind bool
}

// logEntry is one line: its checksum, a blank and this.
type logEntry struct {
	Add *payload.RunReport `json:"add,omitempty"`
	// Done are ids of runs whose reports were answered.
	Done []string `json:"done,omitempty"`
}

// openReportLog reads the reports that an earlier process left; lines that were
// torn or spoiled are left out.
func openReportLog(dir string) (*reportLog, []payload.RunReport, error) {
	if dir == "" {
		return nil, nil, nil
	}
	l := &reportLog{path: filepath.Join(dir, reportsFile), behind: true}
	content, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, nil, fmt.Errorf("read reports of runs: %w", err)
	}
	var order []string
	left := map[string]payload.RunReport{}
	for line := range bytes.Lines(content) {
		e, ok := decodeLogEntry(line)
		if !ok {
			continue
		}
		if e.Add != nil {
			order = append(order, e.Add.RunID)
			left[e.Add.RunID] = *e.Add
		}
		for _, id := range e.Done {
			delete(left, id)
		}
	}
	var all []payload.RunReport
	for _, id := range order {
		if report, ok := left[id]; ok {
			all = append(all, report)
			delete(left, id)
		}
	}
	return l, all, nil
}

func decodeLogEntry(line []byte) (e logEntry, ok bool) {
	sum, body, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !found || err != nil || len(sum) != 8 || crc32.Checksum(body, castagnoli) != uint32(want) {
		return e, false
	}
	return e, json.Unmarshal(body, &e) == nil
}

func appendLogEntry(dst []byte, e logEntry) []byte {
	body, err := json.Marshal(e)
	if err != nil {
		return dst // It was encoded before, to be sent.
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(body, castagnoli))
	return append(append(dst, body...), '\n')
}

// write adds a line; waiting are the reports not answered yet, that among them.
func (l *reportLog) write(e logEntry, waiting func() []payload.RunReport) error {
	if l == nil {
		return nil
	}
	if l.behind || l.size > l.limit {
		return l.rewrite(waiting())
	}
	line := appendLogEntry(nil, e)
	if _, err := l.file.Write(line); err != nil {
		l.behind = true
		return fmt.Errorf("keep report of run: %w", err)
	}
	l.size += int64(len(line))
	return nil
}

// rewrite makes a file of the reports that wait and puts it in the old one's place.
func (l *reportLog) rewrite(waiting []payload.RunReport) error {
	l.behind = true
	var lines []byte
	for _, report := range waiting {
		lines = appendLogEntry(lines, logEntry{Add: &report})
	}
	if err := replaceFile(l.path, lines); err != nil {
		return fmt.Errorf("keep reports of runs: %w", err)
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep reports of runs: %w", err)
	}
	l.close()
	l.file, l.size, l.limit, l.behind = file, int64(len(lines)), 2*int64(len(lines))+reportLogSlack, false
	return nil
}

func (l *reportLog) close() {
	if l != nil && l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
