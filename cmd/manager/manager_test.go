//go:build unix

package manager_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgesync/cmd/manager"
)

// TestManagerThatReadsNothingIsNotWaitedFor fills what a socket holds unread. A
// service that waited for room would not stop.
func TestManagerThatReadsNothingIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "manager") // A socket's path is short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	listener, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.DialUnix("unixgram", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for err == nil {
		if err := conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write([]byte("WATCHDOG=1"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Skipf("this system does not hold senders back: %v", err)
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		(&manager.Notifier{Socket: addr.Name}).Tell("STOPPING=1")
	}()
	select {
	case <-told:
	case <-time.After(30 * time.Second):
		t.Fatal("it waits for a manager that reads nothing")
	}
}
