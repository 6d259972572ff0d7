package admin

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// socketUser is the user of the process at the other end of a unix socket.
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
