package admin_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edgesync/admin"
)

// TestOverTheSocketNobodyElseIsAdmitted has another user of the machine connect,
// although the socket's mode would let him.
func TestOverTheSocketNobodyElseIsAdmitted(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root can be somebody else")
	}
	dir, err := os.MkdirTemp("/tmp", "admin") // Where everybody gets to.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "admin.sock")
	listener := must[net.Listener](t)(admin.Listen(path))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- admin.NewServer(newCore(t), nil).Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{dir, path} {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	for uid, admitted := range map[int]bool{nobody: false, 0: true} {
		conn, err := dialAs(uid, path)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		// The beginning of HTTP/2; the server answers with its settings.
		_, err = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
		if err == nil {
			_, err = conn.Read(make([]byte, 9))
		}
		if (err == nil) != admitted {
			t.Errorf("user %d: %v, want admitted %v", uid, err, admitted)
		}
		if err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("user %d is neither admitted nor turned away", uid)
		}
		_ = conn.Close()
	}
}

// dialAs connects as another user: the kernel remembers who did.
func dialAs(uid int, path string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		// The thread is not given back: it ends with the goroutine.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- result{nil, errno}
			return
		}
		conn, err := net.Dial("unix", path)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
