package admin

import (
	"errors"
	"io/fs"
	"net"
)

// ownerOfFile finds nobody: users have no numbers here, so that nobody can be
// told apart on a socket, and none is served.
func ownerOfFile(fs.FileInfo) (int, bool) { return 0, false }

func socketUser(*net.UnixConn) (int, error) {
	return 0, errors.New("the system does not tell who is at the other end of a socket")
}
