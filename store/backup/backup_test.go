package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"edgesync/store/backup"
	"edgesync/store/dump"
)

// made is a snapshot of rows that are made up as they are read.
type made struct {
	rows  int
	fail  error
	parts []dump.Part
}

func (m made) Platform() dump.Platform {
	return dump.Platform{TenantID: m.parts[1].Tenant, Slug: "platform", TrustDomain: "edgesync.local"}
}

func (m made) Parts() []dump.Part { return m.parts }

func (m made) Close() error { return nil }

func (m made) Dump(_ context.Context, tenant uuid.UUID, visit func(dump.Table) error) error {
	if err := visit(dump.Table{Name: "empty", Columns: []string{"a"}, Next: func() ([]any, error) { return nil, nil }}); err != nil {
		return err
	}
	i, row := 0, make([]any, 5)
	return visit(dump.Table{Name: "t", Columns: []string{"a", "b", "c", "d", "e"}, Next: func() ([]any, error) {
		if i == m.rows {
			return nil, m.fail
		}
		i++
		row[0], row[1], row[2], row[3], row[4] = int64(-i), fmt.Sprintf("%s ünï %d", tenant, i), []byte{0, byte(i)}, nil, []byte{}
		return row, nil
	}})
}

func snapshot(rows int) made {
	return made{rows: rows, parts: []dump.Part{
		{Slug: "platform", Version: 90}, {Tenant: uuid.New(), Slug: "platform", Version: 35}, {Tenant: uuid.New(), Slug: "acme", Version: 31},
	}}
}

const passphrase = "correct horse battery"

func write(t testing.TB, into io.Writer, lock backup.Lock, of made) backup.Summary {
	t.Helper()
	summary, err := backup.Write(t.Context(), into, lock, backup.Contents{
		Header: backup.Header{Program: "test", TakenAt: time.Unix(1, 0).UTC(), Store: "made up"}, Snapshot: of, Keyset: []byte("keys"),
		Files: []backup.File{{Name: "x", Content: []byte("a\nb")}, {Name: "y", Content: nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func key(t testing.TB, passphrase string) backup.Key {
	t.Helper()
	key, err := backup.KeyPassphrase(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// readAll reads a backup as one that restores it does.
func readAll(ctx context.Context, from io.Reader, key backup.Key) (*backup.Reader, backup.Summary, error) {
	reader, err := backup.Open(ctx, from, key)
	if err != nil {
		return nil, backup.Summary{}, err
	}
	defer reader.Close()
	for {
		err := reader.Part(func(_ dump.Part, from dump.Source) (dump.Sums, error) { return dump.SumsOf(from) })
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return reader, backup.Summary{}, err
		}
	}
	summary, err := reader.End()
	return reader, summary, err
}

func TestBackupReadsAsItWasWritten(t *testing.T) {
	of := snapshot(20_000)
	var out bytes.Buffer
	wrote := write(t, &out, backup.QuickLock(passphrase), of)
	reader, read, err := readAll(t.Context(), &out, key(t, passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if read.Rows != 60_000 || read.Hash() != wrote.Hash() || read.Rows != wrote.Rows || len(read.Sums) != 3 {
		t.Errorf("read %d rows with hash %s, wrote %d with %s", read.Rows, read.Hash(), wrote.Rows, wrote.Hash())
	}
	last := read.Parts[len(read.Parts)-1]
	if last.Tenant != uuid.Nil || string(reader.Keyset) != "keys" || len(reader.Files) != 2 || string(reader.Files[0].Content) != "a\nb" {
		t.Errorf("read %+v, %q, %+v", read.Parts, reader.Keyset, reader.Files)
	}
}

func TestBackupOpensWithItsKeyOnly(t *testing.T) {
	var out bytes.Buffer
	write(t, &out, backup.QuickLock(passphrase), snapshot(1))
	if _, _, err := readAll(t.Context(), bytes.NewReader(out.Bytes()), key(t, "another passphrase")); !errors.Is(err, backup.ErrWrongKey) {
		t.Errorf("with another passphrase: %v", err)
	}
	mine, _ := age.GenerateX25519Identity()
	other, _ := age.GenerateX25519Identity()
	lock, err := backup.LockRecipients(strings.NewReader("# ours\n" + mine.Recipient().String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	write(t, &out, lock, snapshot(1))
	for name, identity := range map[string]*age.X25519Identity{"mine": mine, "other": other} {
		key, err := backup.KeyIdentities(strings.NewReader(identity.String()))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = readAll(t.Context(), bytes.NewReader(out.Bytes()), key)
		if name == "mine" && err != nil || name == "other" && !errors.Is(err, backup.ErrWrongKey) {
			t.Errorf("with the identity %s: %v", name, err)
		}
	}
	for what, try := range map[string]error{
		"short passphrase": errorOf(backup.LockPassphrase("short")),
		"no passphrase":    errorOf(backup.KeyPassphrase("")),
		"no recipient":     errorOf(backup.LockRecipients(strings.NewReader("age1canary"))),
		"no identity":      errorOf(backup.KeyIdentities(strings.NewReader("AGE-SECRET-KEY-1CANARY"))),
	} {
		if try == nil || strings.Contains(try.Error(), "CANARY") {
			t.Errorf("%s: %v", what, try)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestBackupThatIsNotWholeIsRefused(t *testing.T) {
	var out bytes.Buffer
	write(t, &out, backup.QuickLock(passphrase), snapshot(3000))
	data := out.Bytes()
	open := key(t, passphrase)
	refused := func(what string, broken []byte) {
		t.Helper()
		if _, _, err := readAll(t.Context(), bytes.NewReader(broken), open); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrWrongKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, n := range []int{0, 1, 20, 150, 200, 1000, len(data) / 2, len(data) - 17, len(data) - 1} {
		refused(fmt.Sprintf("cut to %d of %d bytes", n, len(data)), data[:n])
	}
	for i := 0; i < len(data); i += 1 + len(data)/60 {
		broken := bytes.Clone(data)
		broken[i] ^= 0x10
		refused(fmt.Sprintf("changed at %d", i), broken)
	}
	refused("longer", append(bytes.Clone(data), 0))
	refused("something else", []byte("SQLite format 3\x00"))
	refused("nothing", nil)
	// Such as the passphrase's file, where the two were confused.
	if _, _, err := readAll(t.Context(), strings.NewReader("a canary\n"), open); !errors.Is(err, backup.ErrDamaged) || strings.Contains(err.Error(), "canary") {
		t.Errorf("a file with a secret: %v", err)
	}
}

func TestBackupThatFailsIsNone(t *testing.T) {
	of := snapshot(10)
	of.fail = errors.New("disk")
	var out bytes.Buffer
	_, err := backup.Write(t.Context(), &out, backup.QuickLock(passphrase), backup.Contents{Snapshot: of})
	if err == nil || !strings.Contains(err.Error(), "tenant platform: table t: disk") {
		t.Errorf("a snapshot that fails: %v", err)
	}
	if _, _, err := readAll(t.Context(), &out, key(t, passphrase)); err == nil {
		t.Error("what was written until then is a backup")
	}
}

// plain is what a backup holds, encrypted as one.
func plain(t testing.TB, content []byte) []byte {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(1)
	var out bytes.Buffer
	encrypted, err := age.Encrypt(&out, recipient)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := zstd.NewWriter(encrypted)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := packed.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(packed.Close(), encrypted.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// content is what a backup holds, decrypted and unpacked.
func content(t testing.TB, data []byte) []byte {
	t.Helper()
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	decrypted, err := age.Decrypt(bytes.NewReader(data), identity)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := zstd.NewReader(decrypted)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	all, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestForgedBackupIsRefused changes what is inside the encryption: whoever knows a
// public key can encrypt to it.
func TestForgedBackupIsRefused(t *testing.T) {
	var out bytes.Buffer
	write(t, &out, backup.QuickLock(passphrase), snapshot(200))
	inside := content(t, out.Bytes())
	open := key(t, passphrase)
	if _, _, err := readAll(t.Context(), bytes.NewReader(plain(t, inside)), open); err != nil {
		t.Fatal(err)
	}
	for what, forge := range map[string]func([]byte) []byte{
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"longer":     func(b []byte) []byte { return append(b, 0) },
		"a row":      func(b []byte) []byte { return bytes.Replace(b, []byte("ünï 77"), []byte("ünï 78"), 1) },
		"a sum":      func(b []byte) []byte { return bytes.Replace(b, []byte(`"rows":200`), []byte(`"rows":201`), 1) },
		"a part":     func(b []byte) []byte { return bytes.Replace(b, []byte(`"slug":"acme"`), []byte(`"slug":"acmf"`), 1) },
		"its magic":  func(b []byte) []byte { return append([]byte("E"), b[1:]...) },
		"its format": func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":0`), 1) },
		"a version":  func(b []byte) []byte { return bytes.Replace(b, []byte(`"version":35`), []byte(`"version":-5`), 2) },
	} {
		if _, _, err := readAll(t.Context(), bytes.NewReader(plain(t, forge(bytes.Clone(inside)))), open); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	newer := bytes.Replace(bytes.Clone(inside), []byte(`"format":1`), []byte(`"format":2`), 1)
	if _, _, err := readAll(t.Context(), bytes.NewReader(plain(t, newer)), open); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("a newer format: %v", err)
	}
}

// TestBackupTakesLittleMemory streams far more than it may keep.
func TestBackupTakesLittleMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector's own memory would be measured")
	}
	const rows = 240_000 // of three parts, some 100 bytes each
	in, out := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		_, err := backup.Write(t.Context(), out, backup.QuickLock(passphrase), backup.Contents{Snapshot: snapshot(rows)})
		wrote <- errors.Join(err, out.Close())
	}()
	// What a collection found alive: what is made and dropped meanwhile is not it.
	alive := func() uint64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, peak, seen := alive(), uint64(0), 0
	reader, err := backup.Open(t.Context(), in, key(t, passphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reader.Progress = func(backup.Progress) {
		if seen++; seen%6 == 0 {
			peak = max(peak, alive())
		}
	}
	for err == nil {
		err = reader.Part(func(_ dump.Part, from dump.Source) (dump.Sums, error) { return dump.SumsOf(from) })
	}
	summary, endErr := reader.End()
	if !errors.Is(err, io.EOF) || endErr != nil || summary.Rows != 3*rows {
		t.Fatalf("read %d rows: %v, %v", summary.Rows, err, endErr)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	const most = 40 << 20
	if peak > before+most {
		t.Errorf("it took %d MiB beyond what there was", (peak-before)>>20)
	}
	t.Logf("%d KiB at most, %d KiB before", peak>>10, before>>10)
}

func FuzzRead(f *testing.F) {
	var out bytes.Buffer
	write(f, &out, backup.QuickLock(passphrase), snapshot(5))
	f.Add(content(f, out.Bytes()))
	f.Add([]byte("edgesync backup\nh\x02{}"))
	open := key(f, passphrase)
	f.Fuzz(func(t *testing.T, inside []byte) {
		_, _, err := readAll(t.Context(), bytes.NewReader(plain(t, inside)), open)
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("said %q", err)
		}
	})
}
