package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
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

// actor is who makes a call.
func actor(ctx context.Context) core.Actor {
	a := core.Actor{Name: "unknown", Origin: originAPI}
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(localUser); ok {
			a.Name = "local:" + strconv.Itoa(info.uid)
		}
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

// peerCredentials identify the process at the other end of a unix socket, and
// admit root and the user this process runs as. In process it is that user.
type peerCredentials struct{}

// ServerHandshake implements credentials.TransportCredentials.
func (peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	own := os.Geteuid()
	uid := own
	if socket, ok := conn.(*net.UnixConn); ok {
		var err error
		if uid, err = socketUser(socket); err != nil {
			return nil, nil, fmt.Errorf("identify caller: %w", err)
		}
	} else if conn.LocalAddr().Network() != inProcess {
		return nil, nil, errors.New("identify caller: it came neither over a unix socket nor in process")
	}
	if uid != 0 && uid != own {
		return nil, nil, fmt.Errorf("refuse caller: it runs as user %d, not as %d or root", uid, own)
	}
	return conn, localUser{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, uid}, nil
}

// inProcess is the network of a connection in process.
var inProcess = bufconn.Listen(1).Addr().Network()

func socketUser(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credential *unix.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		credential, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failure); err != nil {
		return 0, err
	}
	return int(credential.Uid), nil
}

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
