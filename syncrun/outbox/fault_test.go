package outbox_test

import (
	"errors"
	"os"
	"sync"

	"edgesync/syncrun/outbox"
)

var errDead = errors.New("the machine is off")

// fragile is a disk that fails as a test wants, and that loses at a crash what
// was not synced, as a disk may.
type fragile struct {
	outbox.Disk
	attic string
	roll  func(n int) int

	mu sync.Mutex
	// left is how many operations go through before the machine is off; below
	// zero it stays on.
	left int
	// fail may refuse an operation on a path ("write", "sync", "read", …).
	fail func(op, path string) error
	// unsynced are files with the length that is safe, names the changes of
	// names that no SyncDir has made safe, oldest first.
	unsynced map[string]int64
	names    []change
}

// change is a rename, or a removal where to is empty; kept is the file removed.
type change struct{ from, to, kept string }

func newFragile(attic string, roll func(int) int) *fragile {
	return &fragile{attic: attic, roll: roll, left: -1, unsynced: map[string]int64{}}
}

// step is one operation.
func (d *fragile) step(op, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		return errDead
	}
	d.left--
	if d.fail != nil {
		return d.fail(op, path)
	}
	return nil
}

// crash makes the disk what a machine finds that was switched off.
func (d *fragile) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, safe := range d.unsynced {
		if info, err := os.Stat(path); err == nil && info.Size() > safe {
			_ = os.Truncate(path, safe+int64(d.roll(int(info.Size()-safe)+1)))
		}
	}
	// Some of the latest changes of names are undone, none before one that stays.
	for n := d.roll(len(d.names) + 1); n > 0; n-- {
		last := d.names[len(d.names)-1]
		d.names = d.names[:len(d.names)-1]
		if last.to != "" {
			_ = os.Rename(last.to, last.from)
		} else {
			_ = os.Rename(last.kept, last.from)
		}
	}
	d.names, d.unsynced, d.left = nil, map[string]int64{}, -1
}

func (d *fragile) Create(path string) (outbox.File, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	f, err := d.Disk.Create(path)
	return &fragileFile{File: f, disk: d, path: path}, err
}

func (d *fragile) Append(path string) (outbox.File, error) {
	if err := d.step("append", path); err != nil {
		return nil, err
	}
	f, err := d.Disk.Append(path)
	return &fragileFile{File: f, disk: d, path: path}, err
}

func (d *fragile) Open(path string) (outbox.File, error) {
	if err := d.step("open", path); err != nil {
		return nil, err
	}
	f, err := d.Disk.Open(path)
	return &fragileFile{File: f, disk: d, path: path}, err
}

func (d *fragile) Rename(from, to string) error {
	if err := d.step("rename", from); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := os.Stat(to); err != nil {
		d.names = append(d.names, change{from: from, to: to})
	}
	if safe, ok := d.unsynced[from]; ok {
		delete(d.unsynced, from)
		d.unsynced[to] = safe
	}
	return d.Disk.Rename(from, to)
}

func (d *fragile) Remove(path string) error {
	if err := d.step("remove", path); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, err := os.CreateTemp(d.attic, "")
	if err != nil {
		return err
	}
	_ = kept.Close()
	d.names = append(d.names, change{from: path, kept: kept.Name()})
	delete(d.unsynced, path)
	return os.Rename(path, kept.Name())
}

func (d *fragile) SyncDir(path string) error {
	if err := d.step("syncdir", path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = nil
	return nil
}

type fragileFile struct {
	outbox.File
	disk *fragile
	path string
}

func (f *fragileFile) touched() {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, ok := f.disk.unsynced[f.path]; !ok {
		info, err := f.File.Stat()
		if err == nil {
			f.disk.unsynced[f.path] = info.Size()
		}
	}
}

func (f *fragileFile) WriteAt(p []byte, at int64) (int, error) {
	f.touched()
	if err := f.disk.step("write", f.path); err != nil {
		// Some of it may have come through.
		n, _ := f.File.WriteAt(p[:f.disk.roll(len(p)+1)], at)
		return n, err
	}
	return f.File.WriteAt(p, at)
}

func (f *fragileFile) Write(p []byte) (int, error) {
	f.touched()
	if err := f.disk.step("write", f.path); err != nil {
		n, _ := f.File.Write(p[:f.disk.roll(len(p)+1)])
		return n, err
	}
	return f.File.Write(p)
}

func (f *fragileFile) Sync() error {
	if err := f.disk.step("sync", f.path); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	delete(f.disk.unsynced, f.path)
	return nil
}

func (f *fragileFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.disk.step("read", f.path); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}
