package ownfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"edgesync/seal/ownfile"
)

func TestLockIsOneProcessPartAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	first, second := open(), open()
	defer second.Close()
	if err := ownfile.Lock(first); err != nil {
		t.Fatal(err)
	}
	if err := ownfile.Lock(second); !errors.Is(err, ownfile.ErrLocked) {
		t.Errorf("taken twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ownfile.Lock(second); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}

func TestCreatedFileIsPrivateAndMovesWhileOpen(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "key"), filepath.Join(dir, "moved")
	file, err := ownfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := ownfile.Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if err := ownfile.SyncDir(dir); err != nil {
		t.Error(err)
	}
	info, err := os.Lstat(moved)
	if err != nil {
		t.Fatal(err)
	}
	if err := ownfile.Private(moved, info); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o610} {
		if err := os.Chmod(moved, mode); err != nil {
			t.Fatal(err)
		}
		if info, err = os.Lstat(moved); err != nil {
			t.Fatal(err)
		}
		if ownfile.Private(moved, info) == nil {
			t.Errorf("%v is private", mode)
		}
	}
}
