package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"filippo.io/age"
)

// Lock is what a backup is encrypted to.
type Lock struct{ recipients []age.Recipient }

// Key is what opens a backup.
type Key struct{ identities []age.Identity }

const (
	// minPassphrase keeps out what is guessed at once; whoever has the file may
	// try as many as they like.
	minPassphrase = 10
	// workFactor is the logarithm of scrypt's cost, about a second; maxWorkFactor
	// the most that is spent on a file that says it takes more.
	workFactor    = 18
	maxWorkFactor = 20
)

// LockPassphrase encrypts to a passphrase.
func LockPassphrase(passphrase string) (Lock, error) {
	return lockPassphrase(passphrase, workFactor)
}

func lockPassphrase(passphrase string, work int) (Lock, error) {
	if len(passphrase) < minPassphrase {
		return Lock{}, fmt.Errorf("use passphrase: it has fewer than %d characters", minPassphrase)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return Lock{}, errors.New("use passphrase: it cannot be used")
	}
	recipient.SetWorkFactor(work)
	return Lock{[]age.Recipient{recipient}}, nil
}

// LockRecipients encrypts to age's public keys, one a line: any of their
// identities opens the backup, and none is needed to take it.
func LockRecipients(lines io.Reader) (Lock, error) {
	recipients, err := age.ParseRecipients(lines)
	if err != nil {
		return Lock{}, fmt.Errorf("use recipients: %w", short(err))
	}
	return Lock{recipients}, nil
}

// KeyPassphrase opens with a passphrase.
func KeyPassphrase(passphrase string) (Key, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Key{}, errors.New("use passphrase: it is empty")
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	return Key{[]age.Identity{identity}}, nil
}

// KeyIdentities opens with age's private keys, as age-keygen writes them.
func KeyIdentities(lines io.Reader) (Key, error) {
	identities, err := age.ParseIdentities(lines)
	if err != nil {
		// The error might quote a key.
		return Key{}, errors.New("use identities: the file holds none that age-keygen would write")
	}
	return Key{identities}, nil
}

// short is the first line of an error of age's.
func short(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(text)
}

func (l Lock) encrypt(into io.Writer) (io.WriteCloser, error) {
	if len(l.recipients) == 0 {
		return nil, errors.New("encrypt backup: there is nobody to encrypt it to")
	}
	w, err := age.Encrypt(into, l.recipients...)
	debug.FreeOSMemory()
	if err != nil {
		return nil, fmt.Errorf("encrypt backup: %w", err)
	}
	return w, nil
}

// ageIntro is what every file begins with that age has encrypted.
const ageIntro = "age-encryption.org/"

func (k Key) decrypt(from io.Reader) (io.Reader, error) {
	// age would quote what it finds instead, which may be a secret: a passphrase's
	// file that was named for the backup's.
	begun := bufio.NewReader(from)
	if intro, err := begun.Peek(len(ageIntro)); err != nil && !errors.Is(err, io.EOF) {
		return nil, damaged(err)
	} else if string(intro) != ageIntro {
		return nil, fmt.Errorf("%w: it is no backup, or its beginning is missing", ErrDamaged)
	}
	r, err := age.Decrypt(begun, k.identities...)
	// A key that is derived of a passphrase takes a quarter of a gigabyte, and who
	// collects garbage would think that much to be usual.
	debug.FreeOSMemory()
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none), errors.Is(err, age.ErrIncorrectIdentity):
		return nil, ErrWrongKey
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, short(err))
	}
	return r, nil
}

// QuickLock encrypts to a passphrase at a cost that is none: for tests.
func QuickLock(passphrase string) Lock {
	lock, err := lockPassphrase(passphrase, 1)
	if err != nil {
		panic(err)
	}
	return lock
}
