package relational

import (
	"encoding/hex"
	"fmt"
)

// Home ids, and those of devices, are kept as the 16 bytes of their UUID.

const homePrefix = "sr:"

// homeLength is that of a home id's text.
const homeLength = len(homePrefix) + 36

// hyphens are where the text of a UUID has them.
var hyphens = [...]int{8, 13, 18, 23}

// parseHome reads the one spelling of a home id.
func parseHome(id string) (home []byte, ok bool) {
	if len(id) != homeLength || id[:len(homePrefix)] != homePrefix {
		return nil, false
	}
	home = make([]byte, 16)
	var digits [32]byte
	at := digits[:0]
	text := id[len(homePrefix):]
	from := 0
	for _, hyphen := range hyphens {
		if text[hyphen] != '-' {
			return nil, false
		}
		at = append(at, text[from:hyphen]...)
		from = hyphen + 1
	}
	at = append(at, text[from:]...)
	if _, err := hex.Decode(home, at); err != nil {
		return nil, false
	}
	// Decode takes capitals, too.
	return home, formatHome(home) == id
}

// formatHome spells a home id.
func formatHome(home []byte) string {
	var text [homeLength]byte
	copy(text[:], homePrefix)
	id := text[len(homePrefix):]
	hex.Encode(id[0:8], home[0:4])
	hex.Encode(id[9:13], home[4:6])
	hex.Encode(id[14:18], home[6:8])
	hex.Encode(id[19:23], home[8:10])
	hex.Encode(id[24:36], home[10:16])
	for _, hyphen := range hyphens {
		id[hyphen] = '-'
	}
	return string(text[:])
}

// addHome appends a home id. One that is none is no assertion's.
func (c *Blobs) addHome(id string) error {
	home, ok := parseHome(id)
	if !ok {
		return fmt.Errorf("%q is no home id", id)
	}
	c.Add(home)
	return nil
}

// homeRows are home ids as the rows (home), less what is none.
func homeRows(ids []string) *Rows {
	homes := NewBlobs("home", len(ids))
	for _, id := range ids {
		if home, ok := parseHome(id); ok {
			homes.Add(home)
		}
	}
	return NewRows(homes)
}

// homeColumn scans a home id.
type homeColumn struct{ into *string }

func (c homeColumn) Scan(value any) error {
	home, ok := value.([]byte)
	if !ok || len(home) != 16 {
		return fmt.Errorf("read home id: it is stored as %T of length %d", value, len(home))
	}
	*c.into = formatHome(home)
	return nil
}
