package export

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// SyslogOptions say where a syslog server is.
type SyslogOptions struct {
	// URL is syslog://HOST[:PORT] or syslog+tcp://…, syslog+tls://…, or
	// syslog+unix:///PATH.
	URL, Cursor string
	Now         func() time.Time
	// Settle is how long a connection must have held after a record was written
	// for it to count as delivered (10 s): nobody says that it arrived.
	Settle time.Duration
}

const (
	// facility is that of audit messages (RFC 5424, section 6.2.1).
	facility = 13
	// writeWithin is how long the server may take to read what is written, and
	// goodbye how long to end its side.
	dialWithin, writeWithin, goodbye = 10 * time.Second, 30 * time.Second, 2 * time.Second
	defaultPort, defaultTLSPort      = "514", "6514"
	defaultSettle                    = 10 * time.Second
)

// Syslog sends records in the format of RFC 5424: over TCP and TLS counted by
// octets (RFC 6587, RFC 5425), over a local socket each as a datagram, or where it
// is a stream on a line of its own.
//
// The protocol has no acknowledgement. A connection that breaks may have lost
// what was written last, so that is sent again: a record can come twice then, and
// has an id by which that is seen, and none is missing.
type Syslog struct {
	options  SyslogOptions
	network  string
	address  string
	hostname string
	conn     net.Conn
	// counted says that records are counted by octets, not ended by a line's end.
	counted, datagrams bool
	cursor             *cursor
	// written are the positions after what was written, with when.
	written []mark
	sent    Positions
	gone    chan struct{}
}

type mark struct {
	at        time.Time
	positions Positions
}

// OpenSyslog checks the address and reads the cursor. The server is dialled with
// the first record.
func OpenSyslog(options SyslogOptions) (*Syslog, error) {
	s := &Syslog{options: options}
	if s.options.Settle <= 0 {
		s.options.Settle = defaultSettle
	}
	u, err := url.Parse(options.URL)
	if err != nil || u.User != nil {
		return nil, fmt.Errorf("read syslog address: want a URL such as syslog://logs.example.com:514")
	}
	switch port := u.Port(); u.Scheme {
	case "syslog", "syslog+tcp":
		s.network, s.address, s.counted = "tcp", net.JoinHostPort(u.Hostname(), or(port, defaultPort)), true
	case "syslog+tls":
		s.network, s.address, s.counted = "tls", net.JoinHostPort(u.Hostname(), or(port, defaultTLSPort)), true
	case "syslog+unix":
		s.network, s.address = "unix", u.Path
	}
	if s.network == "" || s.network == "unix" && (s.address == "" || u.Host != "") || s.network != "unix" && (u.Hostname() == "" || u.Path != "") {
		return nil, fmt.Errorf("read syslog address %q: want syslog://HOST:PORT, syslog+tls://HOST:PORT or syslog+unix:///PATH", options.URL)
	}
	if s.hostname, err = os.Hostname(); err != nil || s.hostname == "" {
		s.hostname = "-"
	}
	if s.cursor, err = openCursor(options.Cursor, options.URL); err != nil {
		return nil, err
	}
	s.sent = s.cursor.positions()
	return s, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Write implements Sink.
func (s *Syslog) Write(records []Record) error {
	if err := s.write(records); err != nil {
		s.hangUp()
		return fmt.Errorf("send events to %s: %w", s.options.URL, err)
	}
	s.sent.advance(records)
	s.written = append(s.written, mark{s.options.Now(), maps.Clone(s.sent)})
	return s.settle()
}

func (s *Syslog) write(records []Record) error {
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	select {
	case <-s.gone:
		return errors.New("the server has ended the connection")
	default:
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	var all []byte
	for _, r := range records {
		message := s.format(r)
		switch {
		case s.counted:
			all = append(strconv.AppendInt(all, int64(len(message)), 10), ' ')
			all = append(all, message...)
		case s.datagrams:
			if _, err := s.conn.Write(message); err != nil {
				return err
			}
		default:
			all = append(append(all, message...), '\n')
		}
	}
	if len(all) == 0 {
		return nil
	}
	_, err := s.conn.Write(all)
	return err
}

func (s *Syslog) dial() (err error) {
	dialer := &net.Dialer{Timeout: dialWithin}
	s.datagrams = false
	switch s.network {
	case "tls":
		s.conn, err = tls.DialWithDialer(dialer, "tcp", s.address, &tls.Config{MinVersion: tls.VersionTLS12})
	case "unix":
		if s.conn, err = dialer.DialContext(context.Background(), "unixgram", s.address); err == nil {
			s.datagrams = true
		} else {
			s.conn, err = dialer.DialContext(context.Background(), "unix", s.address)
		}
	default:
		s.conn, err = dialer.DialContext(context.Background(), s.network, s.address)
	}
	if err != nil {
		s.conn = nil
		return err
	}
	s.gone = make(chan struct{})
	if s.datagrams {
		return nil
	}
	// A server says nothing; that it ends its side is all there is to read.
	go func(conn net.Conn, gone chan struct{}) {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}(s.conn, s.gone)
	return nil
}

// hangUp ends the connection; what is not settled is to be sent again.
func (s *Syslog) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		if !s.datagrams {
			<-s.gone
		}
		s.conn = nil
	}
	s.written = nil
	s.sent = s.cursor.positions()
}

// severities are those of RFC 5424.
var severities = map[string]int{"info": 6, "warning": 4, "error": 3}

// format is a record as RFC 5424 has it: priority and version, time, host,
// program, process, type, no structured data, the record.
func (s *Syslog) format(r Record) []byte {
	severity, ok := severities[r.Severity]
	if !ok {
		severity = 5
	}
	head := fmt.Sprintf("<%d>1 %s %s edgesync %d %s - ", facility*8+severity,
		time.UnixMilli(r.UnixMilli).UTC().Format("2006-01-02T15:04:05.000Z"), word(s.hostname, 255), os.Getpid(), word(r.Type, 32))
	return append([]byte(head), r.JSON...)
}

// word is a text as a field of the header may be: printable ASCII without blanks.
func word(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), limit)]
}

// settle counts what was written some time ago as delivered: the connection has
// held since.
func (s *Syslog) settle() error {
	until := s.options.Now().Add(-s.options.Settle)
	settled := Positions(nil)
	for len(s.written) > 0 && !s.written[0].at.After(until) {
		settled, s.written = s.written[0].positions, s.written[1:]
	}
	if settled == nil {
		return nil
	}
	s.cursor.Positions = settled
	return s.cursor.save()
}

// Positions implements Sink.
func (s *Syslog) Positions() Positions { return s.cursor.positions() }

// Close implements Sink. A server that ends its side once it has read ours has
// taken everything.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	defer s.hangUp()
	delivered := s.datagrams
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		timer := time.NewTimer(goodbye)
		defer timer.Stop()
		select {
		case <-s.gone:
			delivered = true
		case <-timer.C:
			// It keeps its side open, which says nothing; so far it has held.
			delivered = true
		}
	}
	if !delivered {
		return nil
	}
	s.cursor.Positions = maps.Clone(s.sent)
	return s.cursor.save()
}
