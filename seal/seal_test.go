package seal_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"edgesync/seal"
)

func create(t *testing.T) (*seal.Keyset, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	k, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func TestSealedValueOpensAfterReopeningTheKeyset(t *testing.T) {
	k, path := create(t)
	ad := seal.AD("tenant", "source", "secret_key")
	sealed, err := k.Seal([]byte("canary"), ad)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Fatal("the sealed value shows the plain one")
	}
	again, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open(sealed, ad); err != nil || string(plain) != "canary" {
		t.Fatalf("%q, %v", plain, err)
	}
}

// TestSealedValueDoesNotOpenElsewhere moves a ciphertext to another row, field
// or tenant, damages it, and opens it with another key.
func TestSealedValueDoesNotOpenElsewhere(t *testing.T) {
	k, _ := create(t)
	other, _ := create(t)
	ad := seal.AD("tenant-a", "source-1", "secret_key")
	sealed, err := k.Seal([]byte("canary"), ad)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, try := range map[string]struct {
		keyset *seal.Keyset
		sealed []byte
		ad     []byte
	}{
		"another tenant": {k, sealed, seal.AD("tenant-b", "source-1", "secret_key")},
		"another source": {k, sealed, seal.AD("tenant-a", "source-2", "secret_key")},
		"another field":  {k, sealed, seal.AD("tenant-a", "source-1", "api_key")},
		"shifted parts":  {k, sealed, seal.AD("tenant-as", "ource-1", "secret_key")},
		"no place":       {k, sealed, nil},
		"a flipped bit":  {k, flipped, ad},
		"cut short":      {k, sealed[:len(sealed)-1], ad},
		"empty":          {k, nil, ad},
		"another keyset": {other, sealed, ad},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := try.keyset.Open(try.sealed, try.ad)
			if err == nil {
				t.Fatalf("opened to %q", plain)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Fatalf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestADIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.String())
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		same := strings.Join(a, "\x00\x01") == strings.Join(b, "\x00\x01") && len(a) == len(b)
		if !same && bytes.Equal(seal.AD(a...), seal.AD(b...)) {
			t.Fatalf("%q and %q make the same", a, b)
		}
	})
}

func TestKeysetFileIsPrivateAndNeverReplaced(t *testing.T) {
	_, path := create(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Create(path); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second create: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the keyset was changed: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Fatalf("left behind %v, %v", left, err)
	}
}

// TestKeysetFileIsRefused has the files that must not be taken for a keyset.
func TestKeysetFileIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(path string) error
		want  string
	}{
		"readable by the group": {func(p string) error { return os.Chmod(p, 0o640) }, "chmod 600"},
		"readable by others":    {func(p string) error { return os.Chmod(p, 0o604) }, "chmod 600"},
		"writable by others":    {func(p string) error { return os.Chmod(p, 0o602) }, "chmod 600"},
		"a symbolic link": {func(p string) error {
			return errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p))
		}, "symbolic link"},
		"a directory":  {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "regular file"},
		"a named pipe": {func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) }, "regular file"},
		"absent":       {os.Remove, "no such file"},
		"empty":        {func(p string) error { return os.Truncate(p, 0) }, "not a keyset"},
		"not a keyset": {func(p string) error { return os.WriteFile(p, []byte(`{"key":"canary"}`), 0o600) }, "not a keyset"},
		"endless":      {func(p string) error { return os.Truncate(p, 2<<20) }, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, path := create(t)
			if err := test.spoil(path); err != nil {
				t.Fatal(err)
			}
			_, err := seal.Open(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestOpenOrCreateInParallel has several processes' worth of first starts.
func TestOpenOrCreateInParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	keysets := make([]*seal.Keyset, 8)
	var group sync.WaitGroup
	for i := range keysets {
		group.Go(func() {
			k, err := seal.OpenOrCreate(path)
			if err != nil {
				t.Error(err)
			}
			keysets[i] = k
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	sealed, err := keysets[0].Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range keysets {
		if _, err := k.Open(sealed, nil); err != nil {
			t.Errorf("keyset %d is another: %v", i, err)
		}
	}
}
