package e2e_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/certs/client"
	"edgesync/core"
	"edgesync/proto/payload"
	"edgesync/store/sqlite"
	"edgesync/syncrun"
)

// onSmallDisk names the directory on which a child process of a test mounts a
// disk of its own.
const onSmallDisk = "EDGESYNC_E2E_SMALL_DISK"

// smallDisk runs a test with a file system of so many bytes to itself: in a child
// process that has its own view of what is mounted, so that nobody else sees it.
func smallDisk(t *testing.T, size int64, test func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(onSmallDisk); dir != "" {
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")) // The mount is to stay this process's own.
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)))
		test(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	child.Env = append(os.Environ(), onSmallDisk+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) {
		t.Skipf("this machine lets nobody mount: %v", err)
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
	must(t, err)
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
	return func() { must(t, os.Remove(path)) }
}

// fillFiles takes all the files there may be on a disk, and next to none of its room.
func fillFiles(t *testing.T, dir string) (empty func()) {
	t.Helper()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "nr_inodes=64"))
	ballast := filepath.Join(dir, "ballast")
	must(t, os.Mkdir(ballast, 0o700))
	for n := 0; ; n++ {
		file, err := os.Create(filepath.Join(ballast, fmt.Sprint(n)))
		if errors.Is(err, unix.ENOSPC) {
			return func() { must(t, os.RemoveAll(ballast)) }
		}
		must(t, err)
		must(t, file.Close())
	}
}

// TestFullDiskUnderFilesThatAreMadeOrOpened: a tenant's file that is yet to be made, or
// is not open just now, needs room as well. Who asks is told what is wrong and to
// come again, and does so with success.
func TestFullDiskUnderFilesThatAreMadeOrOpened(t *testing.T) {
	t.Parallel()
	smallDisk(t, 24<<20, func(t *testing.T, dir string) { needsRoom(t, dir, fill) })
}

// TestNoMoreFilesOnTheDisk: one that has room, but not for another file, is told as a
// full one.
func TestNoMoreFilesOnTheDisk(t *testing.T) {
	t.Parallel()
	smallDisk(t, 24<<20, func(t *testing.T, dir string) { needsRoom(t, dir, fillFiles) })
}

func needsRoom(t *testing.T, dir string, fill func(*testing.T, string) (empty func())) {
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{OpenTenants: 1})
	must(t, err)
	defer func() { must(t, store.Close()) }()
	handle, err := store.CreateTenant(t.Context(), uuid.New())
	must(t, err)
	_, err = store.CreateTenant(t.Context(), uuid.New()) // The first one's file is closed for it.
	must(t, err)
	create := func() error {
		_, err := store.CreateTenant(t.Context(), uuid.New())
		return err
	}
	write := func() error {
		return handle.Update(t.Context(), func(core.TenantTx) error { return nil })
	}

	empty := fill(t, dir)
	wantCode(t, create(), codes.ResourceExhausted, "disk of its database is full")
	wantCode(t, write(), codes.ResourceExhausted, "disk of its database is full")
	empty()
	must(t, create())
	must(t, write())
}

// TestFullDiskOfThePlatformAcknowledgesNothing: the disk under the platform's own
// files says that it has no room. A stream is refused in a way that is tried
// again, nothing of its chunk is stored, the runtime keeps what it has, and all
// of it arrives once there is room.
func TestFullDiskOfThePlatformAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	smallDisk(t, 24<<20, func(t *testing.T, dir string) {
		p := &platform{t: t, dir: dir, clock: &clock{}}
		p.serve(true)
		t.Cleanup(func() { p.stop() })
		p.tenant("acme")
		e := p.onboard("acme", "hq")
		_, err := p.core.CreateSource(t.Context(), operator, core.SourceInput{Tenant: "acme", Service: "hq", Spec: core.SourceSpec{
			Name: "plant", Type: payload.TypeFaker, Settings: map[string]string{"devices": "1000"},
		}})
		must(t, err)
		e.hello()
		lab := p.source("acme", "lab", "hq")
		must(t, e.push(stream{source: lab.ID, runID: "r1", chunks: fleet(lab.ID, 20, 20, 1)}))
		_, err = p.core.SetSourceEnabled(t.Context(), operator, "acme", "lab", false)
		must(t, err)

		empty := fill(t, dir)
		err = e.push(stream{source: lab.ID, runID: "r2", chunks: fleet(lab.ID, 1000, 1000, 2)})
		wantCode(t, err, codes.ResourceExhausted, "disk of its database is full")
		again := false
		for _, detail := range status.Convert(err).Details() {
			info, ok := detail.(*errdetails.RetryInfo)
			again = again || ok && info.GetRetryDelay().AsDuration() > 0
		}
		if !again {
			t.Error("a client would take the refusal for the last word")
		}
		data := t.TempDir()
		once := func(giveUp time.Duration) error {
			return e.runtime(func(o *syncrun.Options) { o.DataDir, o.GiveUp = data, giveUp }).Run(t.Context())
		}
		if err := once(time.Second); err == nil {
			t.Error("a run was acknowledged by a platform with a full disk")
		}
		if n := p.count("acme"); n != 20 {
			t.Errorf("%d devices, of which 20 were stored before the disk was full", n)
		}

		empty()
		must(t, e.push(stream{source: lab.ID, runID: "r2", chunks: fleet(lab.ID, 1000, 1000, 2)}))
		must(t, once(time.Minute))
		if n := p.count("acme"); n != 2000 {
			t.Errorf("%d devices once the disk has room, want 2000", n)
		}
		view, err := p.core.Source(context.Background(), "acme", "plant")
		must(t, err)
		if view.Stats.LastResult != payload.ResultSuccess || view.Stats.LastDeviceCount != 1000 {
			t.Errorf("the source shows %+v", view.Stats)
		}
	})
}

// TestFullDiskOfThePlatformUsesUpNoToken: who enrols or renews is told to come again,
// and does so with success.
func TestFullDiskOfThePlatformUsesUpNoToken(t *testing.T) {
	t.Parallel()
	smallDisk(t, 24<<20, func(t *testing.T, dir string) {
		p := &platform{t: t, dir: dir, clock: &clock{}}
		p.serve(true)
		t.Cleanup(func() { p.stop() })
		p.tenant("acme")
		_, held := p.enrol(p.mint("acme", "hq").Text)
		token := p.mint("acme", "edge").Text
		_, csr := request(t, &x509.CertificateRequest{})

		empty := fill(t, dir)
		got, answer := p.sign(token, csr)
		wantStatus(t, "enrolling with a platform with a full disk", got, answer, http.StatusServiceUnavailable)
		if !strings.Contains(answer, "try again") || strings.Contains(answer, "disk") {
			t.Errorf("it is told %s", answer)
		}
		if _, _, err := p.client().Enrol(t.Context(), token); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("enrolling ended with %v", err)
		}
		if _, err := p.client().Renew(t.Context(), held); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("renewing ended with %v", err)
		}

		empty()
		p.enrol(token)
		if _, err := p.client().Renew(t.Context(), held); err != nil {
			t.Error(err)
		}
	})
}
