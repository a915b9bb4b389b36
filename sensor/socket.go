package sensor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// Reach tries whether a service can be reached at a local socket, so that what
// is missing is known exactly: libraries tell it in words only. who is the
// service's name, and group, if not "", whose members may use the socket.
func Reach(ctx context.Context, path, who, group string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, fs.ErrNotExist):
		return &Lack{What: "no " + who + " at " + path, Mend: "start " + who + ", or name its socket", Err: err}
	case errors.Is(err, fs.ErrPermission):
		mend := "run as root"
		if group != "" {
			mend += " or add the user to the " + group + " group"
		}
		return &Lack{What: "no permission to ask " + who + " at " + path, Mend: mend, Err: err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Lack{What: "nobody listens at " + path, Mend: "start " + who, Err: err}
	}
	return fmt.Errorf("connect to %s: %w", who, err)
}
