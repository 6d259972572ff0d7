package payload

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// scanner walks JSON text and refuses what a full parse would let through or
// pay for: deep nesting, text that is not UTF-8, NUL, and objects with very many
// keys. It checks strings and brackets; the rest of the grammar is left to
// encoding/json, which sees a value only after the scanner has.
type scanner struct {
	data []byte
	pos  int
	// depth is how many arrays and objects are open at pos.
	depth int
	// keys counts the object keys since the caller last set it to 0.
	keys int
}

var (
	errTruncated = errors.New("the JSON ends too early")
	errDepth     = fmt.Errorf("the JSON is nested deeper than %d levels", MaxDepth)
	errKeys      = fmt.Errorf("it has more than %d keys", MaxKeys)
	errUTF8      = errors.New("a string is not valid UTF-8")
	errNUL       = errors.New("a string holds a NUL character")
	errControl   = errors.New("a string holds an unescaped control character")
	errEscape    = errors.New("a string holds an invalid escape")
	errBracket   = errors.New("the brackets of the JSON do not match")
)

// space skips white space and returns the next byte, or 0 at the end.
func (s *scanner) space() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// value moves over one value, which begins at pos, and the white space after it.
// It gives up with errTooLong soon after limit bytes, a long string read to its end.
func (s *scanner) value(limit int) error {
	start, base := s.pos, s.depth
	var open [MaxDepth]byte
	for s.space(); s.pos < len(s.data); s.space() {
		if s.depth > base && s.pos-start > limit {
			return errTooLong
		}
		switch c := s.data[s.pos]; c {
		case '"':
			if err := s.text(); err != nil {
				return err
			}
		case '{', '[':
			if s.depth == MaxDepth {
				return errDepth
			}
			open[s.depth] = c + 2 // '[' and ']', '{' and '}' are two apart
			s.depth++
			s.pos++
		case '}', ']':
			if s.depth == base {
				return nil
			}
			s.depth--
			if open[s.depth] != c {
				return errBracket
			}
			s.pos++
		case ',':
			if s.depth == base {
				return nil
			}
			s.pos++
		case ':':
			if s.keys++; s.keys > MaxKeys {
				return errKeys
			}
			s.pos++
		default:
			s.pos++
		}
	}
	if s.depth != base {
		return errTruncated
	}
	return nil
}

// errTooLong tells that a value passed its limit; the caller knows which.
var errTooLong = errors.New("the value is too long")

// text moves over a string, which begins at pos with its quote.
func (s *scanner) text() error {
	s.pos++
	start, ascii := s.pos, true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			if !ascii && !utf8.Valid(s.data[start:s.pos]) {
				return errUTF8
			}
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c == 0:
			return errNUL
		case c < ' ':
			return errControl
		case c >= utf8.RuneSelf:
			ascii = false
			s.pos++
		default:
			s.pos++
		}
	}
	return errTruncated
}

// escape moves over an escape, which begins at pos with its backslash. An
// unpaired surrogate stands for no character and is refused as bad UTF-8.
func (s *scanner) escape() error {
	if s.pos+1 >= len(s.data) {
		return errTruncated
	}
	if s.data[s.pos+1] != 'u' {
		s.pos += 2
		return nil
	}
	r, err := s.hex()
	switch {
	case err != nil:
		return err
	case r == 0:
		return errNUL
	case r >= 0xdc00 && r <= 0xdfff:
		return errUTF8
	case r >= 0xd800 && r <= 0xdbff:
		if low, err := s.hex(); err != nil || low < 0xdc00 || low > 0xdfff {
			return errUTF8
		}
	}
	return nil
}

// hex moves over \uXXXX and returns its number.
func (s *scanner) hex() (rune, error) {
	if s.pos+6 > len(s.data) {
		return 0, errTruncated
	}
	if s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
		return 0, errEscape
	}
	var r rune
	for _, c := range s.data[s.pos+2 : s.pos+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errEscape
		}
		r = r<<4 | rune(c)
	}
	s.pos += 6
	return r, nil
}
