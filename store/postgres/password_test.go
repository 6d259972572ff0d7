package postgres_test

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"edgesync/store/postgres"
	"edgesync/store/postgres/pgtest"
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
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
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

// TestPasswordIsAskedForWhereSchemasAreMade makes a platform and a tenant on a server
// that lets nobody in without a password.
func TestPasswordIsAskedForWhereSchemasAreMade(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	requirePassword(t, url, "of the file")
	store := open(t, url, postgres.Options{Password: func() (string, error) { return "of the file", nil }})
	defer store.Close()
	if _, err := store.CreateTenant(t.Context(), uuid.New()); err != nil {
		t.Error(err)
	}
}

// requirePassword has a server ask everybody for a password from now on.
func requirePassword(t *testing.T, url, password string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var rules string
	if err := conn.QueryRow(t.Context(), `SHOW hba_file`).Scan(&rules); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rules, []byte("local all all scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `ALTER ROLE CURRENT_USER PASSWORD '`+password+`'; SELECT pg_reload_conf()`); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		other, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return
		}
		_ = other.Close(t.Context())
		if time.Now().After(deadline) {
			t.Fatal("the server goes on asking nobody for a password")
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
