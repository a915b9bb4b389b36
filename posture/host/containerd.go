package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Export opens the archive of an image that containerd has, through its own
// client, ctr, which reads CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE. Closing
// it ends the program.
func Export(ctx context.Context, ref string) (io.ReadCloser, error) {
	if ref == "" || strings.HasPrefix(ref, "-") {
		return nil, fmt.Errorf("%q is not the name of an image", ref)
	}
	program, err := exec.LookPath("ctr")
	if err != nil {
		return nil, errors.New("ctr, containerd's client, is not installed")
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, "images", "export", "-", ref)
	e := &export{cmd: cmd, cancel: cancel}
	cmd.Stderr = &e.errs
	if e.ReadCloser, err = cmd.StdoutPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return e, nil
}

// export is a running export; the end of its output says whether it went well.
type export struct {
	io.ReadCloser
	cmd    *exec.Cmd
	cancel context.CancelFunc
	errs   limitedBuffer
	waited bool
}

// Read implements io.Reader.
func (e *export) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !e.waited {
		e.waited = true
		if fault := e.cmd.Wait(); fault != nil {
			return n, fmt.Errorf("ctr: %w: %s", fault, strings.TrimSpace(e.errs.String()))
		}
	}
	return n, err
}

// Close implements io.Closer.
func (e *export) Close() error {
	e.cancel()
	err := e.ReadCloser.Close()
	if !e.waited {
		e.waited = true
		_ = e.cmd.Wait() // it was killed by us
	}
	return err
}
