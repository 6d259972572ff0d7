package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits of one results message, beside those of the wire protocol.
const (
	// MaxUpdates is the most updates one results message may hold. The shortest
	// that are valid take a dozen bytes each and some hundred once decoded.
	MaxUpdates = 100_000
	// MaxUpdate is the most bytes of JSON one update may take.
	MaxUpdate = 64 << 10
	// MaxDepth is how deep a message may be nested, its array included.
	MaxDepth = 8
	// MaxKeys is the most object keys one update may have at all levels.
	MaxKeys = 1024
)

// UpdateError refuses an update. Both codes it carries are permanent: the same
// update is refused again however often it is sent.
type UpdateError struct {
	// Index is the update's place in its array, from 0, or -1 where the array
	// itself is at fault or there is none.
	Index int
	// Code is InvalidArgument or ResourceExhausted.
	Code codes.Code
	// Reason is one line and quotes nothing that a device or a client said.
	Reason string
}

func (e *UpdateError) Error() string {
	if e.Index < 0 {
		return e.Reason
	}
	return fmt.Sprintf("update %d: %s", e.Index, e.Reason)
}

// GRPCStatus makes the error its own gRPC status.
func (e *UpdateError) GRPCStatus() *status.Status { return status.New(e.Code, e.Error()) }

// DecodeUpdates reads a results message: a JSON array of updates, each of them
// valid at the time now. An empty message and null hold none. An update that
// does not say when it was seen was seen now. An error is an *UpdateError.
func DecodeUpdates(data []byte, now time.Time) ([]Update, error) {
	s := scanner{data: data}
	switch c := s.space(); {
	case c == 0 && s.pos == len(data):
		return nil, nil
	case c == 'n' && string(bytes.TrimSpace(data)) == "null":
		return nil, nil
	case c != '[':
		return nil, &UpdateError{Index: -1, Code: codes.InvalidArgument, Reason: "the message is not a JSON array of updates"}
	}
	s.pos++
	s.depth++
	return s.updates(now)
}

// updates reads the elements of the array, whose bracket has been passed.
func (s *scanner) updates(now time.Time) ([]Update, error) {
	var updates []Update
	if s.space() == ']' {
		s.pos++
		return nil, s.end(0)
	}
	usual := fast{now: now}
	for {
		index := len(updates)
		if index == sampled {
			// As many as there will be if the others are about as long.
			updates = slices.Grow(updates, min(len(s.data)/(s.pos/sampled+1)+sampled, MaxUpdates)-index)
		}
		if index == MaxUpdates {
			return nil, &UpdateError{Index: -1, Code: codes.ResourceExhausted,
				Reason: fmt.Sprintf("the message holds more than %d updates", MaxUpdates)}
		}
		updates = append(updates, Update{})
		if length, ok := usual.update(&updates[index], s.data[s.pos:]); ok {
			s.pos += length
		} else if err := s.update(&updates[index], now); err != nil {
			return nil, refusal(index, err)
		}
		switch s.space() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return updates, s.end(index)
		case 0:
			return nil, refusal(index, errTruncated)
		default:
			return nil, refusal(index, errBracket)
		}
	}
}

// sampled is how many updates are read before their number is guessed.
const sampled = 64

// update reads the element at pos.
func (s *scanner) update(u *Update, now time.Time) error {
	start := s.pos
	s.keys = 0
	if err := s.value(MaxUpdate); err != nil {
		return err
	}
	element := bytes.TrimRight(s.data[start:s.pos], " \t\r\n")
	if len(element) > MaxUpdate {
		return errTooLong
	}
	if len(element) == 0 || element[0] != '{' {
		return errors.New("it is not a JSON object")
	}
	wire := struct {
		*Update
		Timestamp stamp `json:"timestamp"`
	}{Update: u, Timestamp: stamp(now)}
	if err := json.Unmarshal(element, &wire); err != nil {
		return plain(err)
	}
	u.Timestamp = time.Time(wire.Timestamp)
	return u.Validate(now)
}

// decodeSyncMeta reads a sync_meta that is good at the time now, whatever update
// it is of; anything that has to be looked at closer it does not know.
func decodeSyncMeta(data []byte, now time.Time) (SyncMeta, bool) {
	var meta SyncMeta
	s := scanner{data: data, depth: 2} // as deep as it lies in a message
	if s.value(fastTotal) != nil || s.pos != len(data) || json.Unmarshal(data, &meta) != nil {
		return meta, false
	}
	u := Update{IP: "10.0.0.1", Timestamp: now, SyncMeta: &meta}
	return meta, u.Validate(now) == nil
}

// end checks that nothing follows the array.
func (s *scanner) end(index int) error {
	if s.space(); s.pos != len(s.data) {
		return refusal(index, errors.New("something follows the array of updates"))
	}
	return nil
}

// stamp is a time that null and the empty string leave as it is.
type stamp time.Time

func (s *stamp) UnmarshalJSON(data []byte) error {
	if string(data) == `""` {
		return nil
	}
	return (*time.Time)(s).UnmarshalJSON(data)
}

// refusal is err as the refusal of the update at index.
func refusal(index int, err error) error {
	var refused *UpdateError
	if errors.As(err, &refused) {
		return &UpdateError{Index: index, Code: refused.Code, Reason: refused.Reason}
	}
	if errors.Is(err, errTooLong) {
		return &UpdateError{Index: index, Code: codes.ResourceExhausted,
			Reason: fmt.Sprintf("it takes more than %d bytes", MaxUpdate)}
	}
	return &UpdateError{Index: index, Code: codes.InvalidArgument, Reason: err.Error()}
}

// plain is what encoding/json found, without the text it found it in.
func plain(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		// The path begins with the field that Update or Config is embedded as.
		return fmt.Errorf("%q has the wrong type", strings.TrimPrefix(strings.TrimPrefix(wrongType.Field, "Update."), "Config."))
	case errors.As(err, &wrongType):
		return errors.New("it has the wrong type")
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON: %s", syntax.Error())
	default: // the only other errors are those of time.Time
		return errors.New("a time in it is not RFC 3339")
	}
}
