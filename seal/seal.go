// Package seal encrypts what is kept: authority keys, credentials, cached
// configs. What is sealed is bound to where it is kept by associated data, so
// that it opens nowhere else. The package knows no store and no tenant.
package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keyset seals and opens. It is safe for concurrent use.
type Keyset struct {
	aead tink.AEAD
}

// Create makes a keyset with a fresh AES-256-GCM key and keeps it at path, which
// must not exist (fs.ErrExist), readable by the owner only.
func Create(path string) (*Keyset, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset: %w", err)
	}
	var encoded bytes.Buffer
	// The file is the only protection of this key there is: its mode and its
	// place are what guards it.
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&encoded)); err != nil {
		return nil, fmt.Errorf("encode keyset: %w", err)
	}
	if err := createPrivate(path, encoded.Bytes()); err != nil {
		return nil, fmt.Errorf("create keyset %s: %w", path, err)
	}
	return newKeyset(handle)
}

// Open reads the keyset at path. A file that others can read, or that is not a
// file but a link to one, is refused.
func Open(path string) (*Keyset, error) {
	encoded, err := Export(path)
	if err != nil {
		return nil, err
	}
	k, err := parse(encoded)
	if err != nil {
		return nil, fmt.Errorf("open keyset %s: %w: restore it from a backup", path, err)
	}
	return k, nil
}

// Export reads the file at path as it is, for a backup of it.
func Export(path string) ([]byte, error) {
	encoded, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("open keyset %s: %w", path, err)
	}
	return encoded, nil
}

// Import puts what Export has read to path, which must not exist (fs.ErrExist).
func Import(path string, encoded []byte) (*Keyset, error) {
	k, err := parse(encoded)
	if err == nil {
		err = createPrivate(path, encoded)
	}
	if err != nil {
		return nil, fmt.Errorf("restore keyset %s: %w", path, err)
	}
	return k, nil
}

func parse(encoded []byte) (*Keyset, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(encoded)))
	if err != nil {
		// The parser quotes what it read, and that is the key.
		return nil, errors.New("it is not a keyset in tink's JSON form")
	}
	return newKeyset(handle)
}

// OpenOrCreate opens the keyset at path, or creates it when there is none. It is
// for a first start: a new keyset opens nothing that an old one sealed.
func OpenOrCreate(path string) (*Keyset, error) {
	k, err := Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = Create(path); errors.Is(err, fs.ErrExist) {
		return Open(path)
	}
	return k, err
}

func newKeyset(handle *keyset.Handle) (*Keyset, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("use keyset: %w", err)
	}
	return &Keyset{aead: primitive}, nil
}

// Seal encrypts plain and binds it to ad, which Open must be given again.
func (k *Keyset) Seal(plain, ad []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plain, ad)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made with the same ad. A changed byte, another ad and
// another keyset fail alike.
func (k *Keyset) Open(sealed, ad []byte) ([]byte, error) {
	plain, err := k.aead.Decrypt(sealed, ad)
	if err != nil {
		return nil, errors.New("open sealed value: it was changed, belongs elsewhere or was sealed with another keyset")
	}
	return plain, nil
}

// AD makes associated data of parts, for instance a tenant's id, a source's id
// and a field's name. Each part goes with its length, so that no two lists of
// parts make the same.
func AD(parts ...string) []byte {
	var ad []byte
	for _, part := range parts {
		ad = binary.AppendUvarint(ad, uint64(len(part)))
		ad = append(ad, part...)
	}
	return ad
}
