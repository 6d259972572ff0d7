package syncrun_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edgesync/syncrun"
)

// onSmallDisk names the directory on which a child process of a test mounts a
// disk of its own.
const onSmallDisk = "EDGESYNC_TEST_SMALL_DISK"

// smallDisk runs a test with a file system of so many bytes to itself: in a child
// process that has its own view of what is mounted, so that nobody else sees it.
func smallDisk(t *testing.T, size int64, test func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(onSmallDisk); dir != "" {
		// Mounts are to stay this process's own.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
			t.Fatal(err)
		}
		test(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	child.Env = append(os.Environ(), onSmallDisk+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) {
		t.Skipf("this machine lets nobody mount: %v", err)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip(string(out))
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// fill takes all the room there is on a disk; empty gives it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		n, err := f.Write(block)
		switch {
		case errors.Is(err, unix.ENOSPC) && n == 0:
			block = block[:len(block)/2]
		case err != nil && !errors.Is(err, unix.ENOSPC):
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskThatIsReallyFullPausesReadingAndHeals: the disk itself says that it has
// no room. Sources are left alone, with one alarm; what was taken before leaves
// whole; and all goes on by itself once there is room.
func TestDiskThatIsReallyFullPausesReadingAndHeals(t *testing.T) {
	smallDisk(t, 2<<20, func(t *testing.T, dir string) {
		simulateAlone(t, func(t *testing.T, w *world) {
			w.adapters["a"], w.adapters["b"] = devices(500), devices(300)
			paced(w, "1m", "a")
			w.options.DataDir = dir
			w.gateway.onChunk = unavailable
			w.run()
			pass(30 * time.Second)
			empty := fill(t, dir)
			// It has nothing on the disk that its run could take the place of.
			paced(w, "1m", "a", "b")
			pass(3 * time.Minute)
			if n := w.count(syncrun.OutboxFull, ""); n != 1 {
				t.Fatalf("%d alarms", n)
			}
			before := w.count(syncrun.RunStarted, "a") + w.count(syncrun.RunStarted, "b")
			pass(30 * time.Minute)
			if n := w.count(syncrun.RunStarted, "a") + w.count(syncrun.RunStarted, "b") - before; n != 0 {
				t.Errorf("%d sources were read while the disk was full", n)
			}
			w.gateway.misbehave(nil, nil)
			pass(3 * time.Minute)
			if got := w.gateway.gotFrom("a"); len(got) == 0 || len(got[0].updates) != 500 {
				t.Errorf("%d streams: what was taken before the disk was full is not delivered", len(got))
			}
			empty()
			pass(5 * time.Minute)
			if w.count(syncrun.OutboxRoom, "") != 1 {
				t.Error("the alarm is not called off")
			}
			for name, n := range map[string]int{"a": 500, "b": 300} {
				got := w.gateway.gotFrom(name)
				if len(got) < 2 || len(got[len(got)-1].updates) != n {
					t.Errorf("of %s there are %d streams once the disk has room", name, len(got))
				}
			}
			w.stop()
		})
	})
}
