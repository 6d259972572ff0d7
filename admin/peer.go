package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"edgesync/core"
)

// originHeader is the call metadata that says through what a caller acts. It is
// kept for the reader of events and decides nothing.
const originHeader = "edgesync-origin"

// Where an administrator acts from.
const (
	originCLI = "cli"
	originTUI = "tui"
	originAPI = "api"
)

// actor is who makes a call: a user of this machine, or the operator of the
// connection's certificate.
func actor(ctx context.Context) core.Actor {
	a := core.Actor{Name: "unknown", Origin: originAPI}
	if who, ok := callerOf(ctx); ok {
		a.Name = who.name
	}
	if said := metadata.ValueFromIncomingContext(ctx, originHeader); len(said) == 1 && (said[0] == originCLI || said[0] == originTUI) {
		a.Origin = said[0]
	}
	return a
}

// localUser is a user of this machine, as the kernel says.
type localUser struct {
	credentials.CommonAuthInfo
	uid int
}

// AuthType implements credentials.AuthInfo.
func (localUser) AuthType() string { return "local" }

func (u localUser) String() string { return "local:" + strconv.Itoa(u.uid) }

// ownerOf is who may use a listener's socket besides root: whoever owns the
// directory it is in, and with it the platform's state. In process it is the
// user this process runs as.
func ownerOf(listener net.Listener) (int, error) {
	addr, ok := listener.Addr().(*net.UnixAddr)
	if !ok {
		return os.Geteuid(), nil
	}
	info, err := os.Stat(filepath.Dir(addr.Name))
	if err != nil {
		return 0, err
	}
	owner, ok := ownerOfFile(info)
	if !ok {
		return 0, fmt.Errorf("find owner of %s: the system does not tell", filepath.Dir(addr.Name))
	}
	return owner, nil
}

// peerCredentials identify the process at the other end of a unix socket, and
// admit root and one user. In process it is the user this process runs as.
type peerCredentials struct{ owner int }

// ServerHandshake implements credentials.TransportCredentials.
func (c peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	uid := os.Geteuid()
	if socket, ok := conn.(*net.UnixConn); ok {
		var err error
		if uid, err = socketUser(socket); err != nil {
			return nil, nil, fmt.Errorf("identify caller: %w", err)
		}
	} else if conn.LocalAddr().Network() != inProcess {
		return nil, nil, errors.New("identify caller: it came neither over a unix socket nor in process")
	}
	if uid != 0 && uid != c.owner {
		return nil, nil, fmt.Errorf("refuse caller: it runs as user %d, not as %d, who owns the state directory, or root", uid, c.owner)
	}
	return conn, localUser{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, uid}, nil
}

// inProcess is the network of a connection in process.
var inProcess = bufconn.Listen(1).Addr().Network()

// ClientHandshake implements credentials.TransportCredentials; these are a
// server's only.
func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("identify server: these credentials are a server's")
}

// Info implements credentials.TransportCredentials.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "local"}
}

// Clone implements credentials.TransportCredentials.
func (c peerCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (peerCredentials) OverrideServerName(string) error { return nil }
