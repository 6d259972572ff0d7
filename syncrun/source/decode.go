package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Decode reads one JSON value of a source into a struct. An error is an *Error
// that says what came instead.
func Decode(body []byte, into any) error {
	trimmed := bytes.TrimSpace(body)
	switch {
	case len(trimmed) == 0:
		return Errorf(ReasonAnswer, "the answer is empty")
	case trimmed[0] == '<':
		return Errorf(ReasonAnswer, "the answer is a web page, not JSON: a login page or a proxy's")
	}
	if err := bounded(trimmed); err != nil {
		return err
	}
	err := json.Unmarshal(trimmed, into)
	var (
		shape  *json.UnmarshalTypeError
		syntax *json.SyntaxError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &shape):
		kind, _, _ := strings.Cut(shape.Value, " ")
		return Errorf(ReasonAnswer, "the answer's field %q is of type %s", clean(shape.Field, maxQuote), kind)
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(trimmed)), errors.Is(err, io.ErrUnexpectedEOF):
		return Errorf(ReasonAnswer, "the answer ends in the middle of its JSON, after %d bytes", len(trimmed))
	case errors.As(err, &syntax):
		return Errorf(ReasonAnswer, "the answer is not JSON, from byte %d on", syntax.Offset)
	}
	return Errorf(ReasonAnswer, "the answer cannot be decoded")
}

// maxMessage is how many bytes of an answer that tells of an error are looked at.
const maxMessage = 64 << 10

// errorMessage is what a source says of its own error, in any of the usual ways:
// as a whole, or of a field of the request, as Django REST framework does.
func errorMessage(body []byte) string {
	var said map[string]Texts
	if len(body) > maxMessage || json.Unmarshal(body, &said) != nil {
		return ""
	}
	for _, key := range []string{"message", "detail", "error"} {
		if len(said[key]) > 0 {
			return said[key][0]
		}
	}
	for _, field := range slices.Sorted(maps.Keys(said)) {
		if text := said[field]; len(text) > 0 && strings.Contains(text[0], " ") {
			return field + ": " + text[0]
		}
	}
	return ""
}

// Text is a JSON value that ought to be a string. Numbers and booleans become
// their text, anything else is empty: one odd field of one device must not cost
// a page.
type Text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(data []byte) error {
	*t = ""
	switch data[0] {
	case '"':
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*t = Text(text)
	case 'n', '{', '[':
	default:
		*t = Text(data)
	}
	return nil
}

// Texts is a JSON list of what ought to be strings or objects with a name. A
// string alone is a list of one.
type Texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Texts) UnmarshalJSON(data []byte) error {
	*t = nil
	list := make([]Named, 1)
	if data[0] == '[' {
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
	} else if err := list[0].UnmarshalJSON(data); err != nil {
		return err
	}
	for _, element := range list {
		if element != "" {
			*t = append(*t, string(element))
		}
	}
	return nil
}

// Named is a JSON object known by its name or, as choices are, by its value; or
// that name alone.
type Named string

// UnmarshalJSON implements json.Unmarshaler.
func (n *Named) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return (*Text)(n).UnmarshalJSON(data)
	}
	var object struct {
		Name  Text `json:"name"`
		Value Text `json:"value"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*n = Named(object.Name)
	if *n == "" {
		*n = Named(object.Value)
	}
	return nil
}

// ID is a JSON number, or its text, that is a source's own id of something:
// above 0, or 0 where there is none.
type ID uint64

// UnmarshalJSON implements json.Unmarshaler.
func (id *ID) UnmarshalJSON(data []byte) error {
	var text Text
	if err := text.UnmarshalJSON(data); err != nil {
		return err
	}
	value, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		value = 0 // Out of range it is the largest number, the same for all.
	}
	*id = ID(max(0, value))
	return nil
}

func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Count is a JSON number, or its text, of how many things there are, or -1 where
// it is no such thing: what cannot be read must not be taken for none.
type Count int64

// UnmarshalJSON implements json.Unmarshaler.
func (c *Count) UnmarshalJSON(data []byte) error {
	var text Text
	if err := text.UnmarshalJSON(data); err != nil {
		return err
	}
	value, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || value < 0 {
		value = -1
	}
	*c = Count(value)
	return nil
}

// Property is the value of one member of a JSON object of free form, as text. A
// list is written with commas; no name, no object and no member are empty.
func Property(object json.RawMessage, name string) string {
	if name == "" {
		return ""
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil || len(members[name]) == 0 {
		return ""
	}
	var values Texts
	if json.Unmarshal(members[name], &values) != nil {
		return ""
	}
	return strings.Join(values, ",")
}
