package export_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edgesync/cmd/event/export"
)

// records are the events from one number to another of a tenant.
func records(tenant string, from, to int64) []export.Record {
	var list []export.Record
	for n := from; n <= to; n++ {
		list = append(list, export.Record{
			Tenant: tenant, Sequence: n, Type: "source.created", Severity: "warning", UnixMilli: 1773500966535,
			JSON: fmt.Appendf(nil, `{"metadata":{"tenant_uid":%q,"sequence":%d},"message":"event %d"}`, tenant, n, n),
		})
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// log is a platform's events: an exporter asks for those after its positions.
type log map[string]int64

func (l log) bring(sink export.Sink) error {
	for _, tenant := range slices.Sorted(maps.Keys(l)) {
		for from := sink.Positions()[tenant] + 1; from <= l[tenant]; from += 7 {
			if err := sink.Write(records(tenant, from, min(from+6, l[tenant]))); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantEach wants every event of the log once in the files, and each line whole.
func (l log) wantEach(t *testing.T, files ...string) {
	t.Helper()
	count := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(t, err)
		for line := range strings.Lines(string(data)) {
			var r struct {
				Metadata struct {
					Tenant   string `json:"tenant_uid"`
					Sequence int64
				}
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Errorf("%s holds %q: %v", file, line, err)
			}
			count[fmt.Sprint(r.Metadata.Tenant, " ", r.Metadata.Sequence)]++
		}
	}
	for tenant, last := range l {
		for n := int64(1); n <= last; n++ {
			key := fmt.Sprint(tenant, " ", n)
			if count[key] != 1 {
				t.Errorf("event %s is there %d times", key, count[key])
			}
			delete(count, key)
		}
	}
	if len(count) > 0 {
		t.Errorf("there are events that never were: %v", count)
	}
}

type place struct{ path, cursor string }

func newPlace(t *testing.T) place {
	dir := t.TempDir()
	return place{filepath.Join(dir, "events.json"), filepath.Join(dir, "cursor")}
}

func (p place) open(t *testing.T) *export.File {
	t.Helper()
	file, err := export.OpenFile(export.FileOptions{Path: p.path, Cursor: p.cursor})
	must(t, err)
	return file
}

func (p place) run(t *testing.T, l log) {
	t.Helper()
	file := p.open(t)
	must(t, l.bring(file))
	must(t, file.Close())
}

func TestFileGoesOnWhereItStopped(t *testing.T) {
	l := log{"acme": 20, "globex": 3}
	for name, harm := range map[string]func(t *testing.T, p place){
		"in order": func(*testing.T, place) {},
		"ended in the midst of a line": func(t *testing.T, p place) {
			before, err := os.ReadFile(p.cursor)
			must(t, err)
			p.run(t, log{"acme": 27, "globex": 9})
			info, err := os.Stat(p.path)
			must(t, err)
			must(t, os.Truncate(p.path, info.Size()-10))
			must(t, os.WriteFile(p.cursor, before, 0o600))
		},
		"cursor is older than the file": func(t *testing.T, p place) {
			before, err := os.ReadFile(p.cursor)
			must(t, err)
			p.run(t, log{"acme": 27, "globex": 9})
			must(t, os.WriteFile(p.cursor, before, 0o600))
		},
		"cursor is lost":                  func(t *testing.T, p place) { must(t, os.Remove(p.cursor)) },
		"file was moved to another place": func(t *testing.T, p place) { must(t, os.Rename(p.path, p.path+".1")) },
		"file was copied and cut": func(t *testing.T, p place) {
			data, err := os.ReadFile(p.path)
			must(t, err)
			must(t, os.WriteFile(p.path+".1", data, 0o600))
			must(t, os.Truncate(p.path, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.run(t, l)
			harm(t, p)
			more := log{"acme": 40, "globex": 9, "initech": 1}
			p.run(t, more)
			p.run(t, more)
			more.wantEach(t, p.path, p.path+".1")
			if info, err := os.Stat(p.path); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("others may read the events: %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestFileKeepsWhatWasThere(t *testing.T) {
	p := newPlace(t)
	must(t, os.WriteFile(p.path, []byte("a line of somebody's\n"), 0o600))
	p.run(t, log{"acme": 2})
	data, err := os.ReadFile(p.path)
	must(t, err)
	if !strings.HasPrefix(string(data), "a line of somebody's\n{") || strings.Count(string(data), "\n") != 3 {
		t.Errorf("the file is %q", data)
	}
}

func TestFileIsRotated(t *testing.T) {
	p := newPlace(t)
	options := export.FileOptions{Path: p.path, Cursor: p.cursor, MaxBytes: 2000, Keep: 3}
	l := log{}
	for n := int64(10); n <= 60; n += 10 {
		l["acme"] = n
		file, err := export.OpenFile(options)
		must(t, err)
		must(t, l.bring(file))
		if n == 30 { // Rotated by somebody else while it is open.
			must(t, os.Rename(p.path, p.path+".away"))
			l["acme"] += 5
			must(t, l.bring(file))
		}
		must(t, file.Close())
	}
	l.wantEach(t, p.path, p.path+".1", p.path+".2", p.path+".3", p.path+".away")
	for n := int64(70); n <= 300; n += 10 {
		l["acme"] = n
		file, err := export.OpenFile(options)
		must(t, err)
		must(t, l.bring(file))
		must(t, file.Close())
	}
	rotated, err := filepath.Glob(p.path + ".[0-9]*")
	must(t, err)
	if len(rotated) != 3 {
		t.Errorf("rotated files are %v", rotated)
	}
	for _, file := range append(rotated, p.path) {
		if info, err := os.Stat(file); err != nil || info.Size() > 3000 {
			t.Errorf("%s is %d bytes long (%v)", file, info.Size(), err)
		}
	}
}

func TestFileHasOneWriter(t *testing.T) {
	p := newPlace(t)
	file := p.open(t)
	defer file.Close()
	if _, err := export.OpenFile(export.FileOptions{Path: p.path, Cursor: p.cursor}); err == nil || !strings.Contains(err.Error(), "another export") {
		t.Errorf("a second writer: %v", err)
	}
	if _, err := export.OpenFile(export.FileOptions{Path: p.path + "2", Cursor: p.cursor}); err == nil || !strings.Contains(err.Error(), "--cursor") {
		t.Errorf("another file's cursor: %v", err)
	}
	must(t, os.WriteFile(p.cursor+"3", []byte("{"), 0o600))
	if _, err := export.OpenFile(export.FileOptions{Path: p.path + "3", Cursor: p.cursor + "3"}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged cursor: %v", err)
	}
}

// server is a syslog server on loopback.
type server struct {
	net.Listener
	mu       sync.Mutex
	messages []string
	conns    []net.Conn
}

func newServer(t *testing.T) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &server{Listener: listener}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			serving.Go(func() { s.read(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.cut()
		serving.Wait()
	})
	return s
}

// read takes messages counted by octets.
func (s *server) read(conn net.Conn) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(length))
		message := make([]byte, n)
		if err != nil || n == 0 {
			message = []byte("no octet count: " + length)
		} else if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		s.mu.Lock()
		s.messages = append(s.messages, string(message))
		s.mu.Unlock()
	}
}

func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
}

var format = regexp.MustCompile(`^<108>1 2026-03-14T15:09:26\.535Z \S+ edgesync \d+ source\.created - (\{.*\})$`)

// numbers are the events that came, in their order; each message must be one of
// RFC 5424.
func (s *server) numbers(t *testing.T) []int64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var numbers []int64
	for _, message := range s.messages {
		m := format.FindStringSubmatch(message)
		if m == nil {
			t.Fatalf("%q is no message", message)
		}
		var r struct{ Metadata struct{ Sequence int64 } }
		must(t, json.Unmarshal([]byte(m[1]), &r))
		numbers = append(numbers, r.Metadata.Sequence)
	}
	return numbers
}

// distinct are the events that came, each once.
func (s *server) distinct(t *testing.T) []int64 {
	t.Helper()
	return slices.Compact(slices.Sorted(slices.Values(s.numbers(t))))
}

// await waits until so many distinct events came.
func (s *server) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); len(s.distinct(t)) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("came %v", s.numbers(t))
		}
	}
}

func upTo(n int64) []int64 {
	var list []int64
	for i := int64(1); i <= n; i++ {
		list = append(list, i)
	}
	return list
}

func TestSyslogGoesOnWhereItStopped(t *testing.T) {
	s := newServer(t)
	cursor := filepath.Join(t.TempDir(), "cursor")
	for _, last := range []int64{10, 10, 25} {
		sink, err := export.OpenSyslog(export.SyslogOptions{URL: "syslog://" + s.Addr().String(), Cursor: cursor, Now: time.Now})
		must(t, err)
		must(t, log{"acme": last}.bring(sink))
		must(t, sink.Close())
		s.await(t, int(last))
		if got := s.numbers(t); !slices.Equal(got, upTo(last)) {
			t.Errorf("after %d came %v", last, got)
		}
	}
}

func TestSyslogLosesNothingWhenItsConnectionBreaks(t *testing.T) {
	s := newServer(t)
	now := time.Now()
	sink, err := export.OpenSyslog(export.SyslogOptions{
		URL: "syslog+tcp://" + s.Addr().String(), Cursor: filepath.Join(t.TempDir(), "cursor"), Now: func() time.Time { return now },
	})
	must(t, err)
	// The connection holds long enough for these to count as delivered.
	must(t, log{"acme": 7}.bring(sink))
	s.await(t, 7)
	now = now.Add(time.Minute)
	must(t, sink.Write(records("acme", 8, 14)))
	if at := sink.Positions()["acme"]; at != 7 {
		t.Errorf("%d are settled, want 7", at)
	}
	s.cut()
	failed := false
	for deadline := time.Now().Add(time.Minute); !failed && time.Now().Before(deadline); {
		failed = sink.Write(records("acme", 15, 15)) != nil
	}
	if !failed {
		t.Fatal("a broken connection takes records for ever")
	}
	if at := sink.Positions()["acme"]; at != 7 {
		t.Errorf("after the break it goes on from %d, want 7", at)
	}
	must(t, log{"acme": 20}.bring(sink))
	must(t, sink.Close())
	s.await(t, 20)
	if distinct := s.distinct(t); !slices.Equal(distinct, upTo(20)) {
		t.Errorf("came %v", distinct)
	}
}

func TestSyslogOverALocalSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer conn.Close()
	sink, err := export.OpenSyslog(export.SyslogOptions{URL: "syslog+unix://" + path, Cursor: filepath.Join(dir, "cursor"), Now: time.Now})
	must(t, err)
	must(t, sink.Write(records("acme", 1, 3)))
	buffer := make([]byte, 64<<10)
	for range 3 {
		n, err := conn.Read(buffer)
		must(t, err)
		if !format.Match(buffer[:n]) {
			t.Errorf("%q is no message", buffer[:n])
		}
	}
	must(t, sink.Close())
	if at := sink.Positions()["acme"]; at != 3 {
		t.Errorf("it goes on from %d", at)
	}
}

func TestSyslogAddress(t *testing.T) {
	for _, bad := range []string{"syslog://", "syslog+udp://x:1", "syslog+unix://host/path", "syslog+unix://", "syslog://u:p@x:1", "syslog://x:1/path", "syslog://%zz"} {
		if _, err := export.OpenSyslog(export.SyslogOptions{URL: bad, Cursor: filepath.Join(t.TempDir(), "c"), Now: time.Now}); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
