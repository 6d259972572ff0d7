package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL server in a temporary directory, reached through a
// socket in it.
type Cluster struct {
	dir, bin string
	durable  bool
	// alive is the end of a pipe: the server stops when it is closed, however
	// this process ends.
	alive *os.File
	cmd   *exec.Cmd
}

// patience bounds the start of a server and the recovery after a crash.
const patience = time.Minute

// supervise runs a server, again whenever it ends, until standard input does.
// Then the directory goes, too.
const supervise = `
bin=$1 dir=$2
shift 2
while :; do
	"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= "$@" >>"$dir/log" 2>&1
	sleep 0.1
done &
loop=$!
read -r line
kill $loop
server=$(head -n 1 "$dir/data/postmaster.pid") && kill -INT $server && while kill -0 $server; do sleep 0.05; done
rm -rf "$dir"
`

// newCluster makes a cluster and starts it. One that is not durable is faster
// and outlives a killed server, but not a power failure.
func newCluster(durable bool) (*Cluster, error) {
	bin := binaries()
	if bin == "" {
		return nil, errNone
	}
	dir, err := os.MkdirTemp("", "edgesync-pg-")
	if err != nil {
		return nil, fmt.Errorf("make cluster: %w", err)
	}
	c := &Cluster{dir: dir, bin: bin, durable: durable}
	if err := c.init(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *Cluster) init() error {
	if credential := unprivileged(); credential != nil {
		if err := os.Chown(c.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return fmt.Errorf("make cluster: %w", err)
		}
	}
	cmd := c.command(filepath.Join(c.bin, "initdb"), "--no-sync", "--auth=trust", "--username=postgres",
		"--encoding=UTF8", "--locale=C", "-D", filepath.Join(c.dir, "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make cluster: %w: %s", err, out)
	}
	return nil
}

// command runs as an unprivileged user where this process is root: PostgreSQL
// refuses to be.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	// A group of its own: an interrupt at the terminal is for the test, which ends
	// the server by ending.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(), Setpgid: true}
	return cmd
}

// nobody is the user and the group that own nothing.
const nobody = 65534

func unprivileged() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody}
}

func (c *Cluster) start() error {
	args := []string{"-c", supervise, "sh", c.bin, c.dir, "-c", "max_connections=200", "-c", "shared_buffers=256MB",
		"-c", "max_wal_size=4GB", "-c", "unix_socket_permissions=0700"}
	if !c.durable {
		// What there is to clean up is dropped soon.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off")
	}
	input, alive, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	defer input.Close()
	c.alive = alive
	c.cmd = c.command("sh", args...)
	c.cmd.Stdin = input
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	return c.await(0)
}

// await waits until a server other than the one of a process id answers.
func (c *Cluster) await(before int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		pid, err := c.pid()
		if err == nil && pid != before {
			var conn *pgx.Conn
			if conn, err = pgx.Connect(ctx, c.url("postgres")); err == nil {
				return conn.Close(ctx)
			}
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("start cluster: %w: %s", errors.Join(ctx.Err(), err), log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pid is the process that listens.
func (c *Cluster) pid() (int, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strconv.Atoi(line)
}

// stop ends the server and removes its directory.
func (c *Cluster) stop() error {
	if c.cmd == nil {
		return nil
	}
	return errors.Join(c.alive.Close(), c.cmd.Wait())
}

// Stop ends the server for good.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if err := c.stop(); err != nil {
		t.Fatalf("stop cluster: %v", err)
	}
	c.cmd = nil
}

// Restart has the server end its sessions and start again.
func (c *Cluster) Restart() error { return c.again(syscall.SIGINT) }

// Crash kills the server, and with it its sessions, and starts it again: what
// was not in its log by then is gone.
func (c *Cluster) Crash() error { return c.again(syscall.SIGKILL) }

func (c *Cluster) again(signal syscall.Signal) error {
	pid, err := c.pid()
	if err == nil {
		err = syscall.Kill(pid, signal)
	}
	if err != nil {
		return fmt.Errorf("restart cluster: %w", err)
	}
	return c.await(pid)
}

// url names a database of the cluster.
func (c *Cluster) url(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {c.dir}, "user": {"postgres"}}.Encode()}
	return u.String()
}
