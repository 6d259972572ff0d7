package postgres_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"edgesync/store/postgres"
)

// asking is a server that wants a password in the clear, and refuses every one.
func asking(t *testing.T) (url string, heard func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var passwords []string
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			ask(conn, func(password string) {
				mu.Lock()
				defer mu.Unlock()
				passwords = append(passwords, password)
			})
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return "postgres://edgesync@" + listener.Addr().String() + "/edgesync?sslmode=disable", func() string {
		mu.Lock()
		defer mu.Unlock()
		all := strings.Join(passwords, " ")
		passwords = nil
		return all
	}
}

func ask(conn net.Conn, heard func(string)) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.AuthenticationCleartextPassword{})
	if server.Flush() != nil || server.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	message, err := server.Receive()
	if answer, ok := message.(*pgproto3.PasswordMessage); ok && err == nil {
		heard(answer.Password)
	}
	server.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "wrong password"})
	_ = server.Flush()
}

func TestPasswordIsAskedForAtEachConnection(t *testing.T) {
	url, heard := asking(t)
	for _, given := range []string{"first", "second"} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{Patience: time.Millisecond, Password: func() (string, error) { return given, nil }})
		if err == nil || strings.Contains(err.Error(), given) {
			t.Errorf("opened with a wrong password: %v", err)
		}
		if got := heard(); got == "" || strings.Trim(got, given+" ") != "" {
			t.Errorf("heard %q, want %q", got, given)
		}
	}
}

func TestTwoPasswordsAreRefused(t *testing.T) {
	_, err := postgres.Open(t.Context(), "postgres://u:canary@127.0.0.1:1/x", postgres.Options{Password: func() (string, error) { return "other", nil }})
	if err == nil || !strings.Contains(err.Error(), "leave one of them out") || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	if !postgres.HasPassword("postgres://u:canary@h/x") || !postgres.HasPassword("postgres://h/x?password=p") || postgres.HasPassword("postgres://u@h/x") {
		t.Error("what has a password is mistaken")
	}
}
