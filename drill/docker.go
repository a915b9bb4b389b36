package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// labelName marks everything that drills make, mark what is removed at the end
// and by the next drill, kept what is left for looking at.
const (
	labelName = "tidewaiter.drill"
	mark      = "remove"
	kept      = "keep"
)

// dockerEngine is the engine that a drill is performed on.
type dockerEngine struct {
	*client.Client
	netns *os.File // its network namespace
}

// connect reaches the engine and its network.
func connect(ctx context.Context, host string) (*dockerEngine, error) {
	path, local := strings.CutPrefix(host, "unix://")
	if !local {
		return nil, fmt.Errorf("%w: the engine at %s is not reached by a socket of this host", ErrCannot, host)
	}
	pid, err := listener(path)
	if err != nil {
		return nil, fmt.Errorf("%w: no Docker Engine: %w", ErrCannot, err)
	}
	netns, err := os.Open("/proc/" + strconv.Itoa(int(pid)) + "/ns/net")
	if err != nil {
		return nil, fmt.Errorf("%w: the engine's network cannot be entered: %w", ErrCannot, err)
	}
	c, err := client.New(client.WithHost(host))
	if err == nil {
		_, err = c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: no Docker Engine answers at %s: %w", ErrCannot, host, err), netns.Close())
	}
	return &dockerEngine{c, netns}, nil
}

func (e *dockerEngine) close() {
	e.Client.Close()
	e.netns.Close()
}

// listener is the process that listens at a socket. With socket activation it
// is the system's first process, whose network is the engine's unless somebody
// took pains; Catches would find that out.
func listener(path string) (int32, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	if who.Pid <= 0 {
		return 0, errors.New(path + " is another machine's, or of another namespace of processes")
	}
	return who.Pid, nil
}

// makeNetwork makes a bridge network. It gives the bridge's name and an address
// that a container there may have.
func (e *dockerEngine) makeNetwork(ctx context.Context, name string) (bridge string, from netip.Addr, err error) {
	made, err := e.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: map[string]string{labelName: mark}})
	if err != nil {
		return "", from, fmt.Errorf("make a network: %w", err)
	}
	got, err := e.NetworkInspect(ctx, made.ID, client.NetworkInspectOptions{})
	if err != nil {
		return "", from, fmt.Errorf("look at the network: %w", err)
	}
	bridge = "br-" + made.ID[:min(12, len(made.ID))] // as the bridge driver names it
	for _, c := range got.Network.IPAM.Config {
		if c.Subnet.Addr().Is4() && c.Gateway.Is4() {
			return bridge, c.Gateway.Next(), nil
		}
	}
	return "", from, errors.New("the engine's network has no address of IPv4")
}

func (e *dockerEngine) load(ctx context.Context, archive []byte) error {
	said, err := e.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load the image: %w", err)
	}
	defer said.Close()
	if err := listen(said); err != nil {
		return fmt.Errorf("load the image: %w", err)
	}
	return nil
}

// build builds an image with the engine's own builder, which takes a file over
// the socket; BuildKit asks for a client that stays.
func (e *dockerEngine) build(ctx context.Context, name, base, network string) error {
	files, err := recipe(base)
	if err != nil {
		return err
	}
	said, err := e.ImageBuild(ctx, bytes.NewReader(files), client.ImageBuildOptions{
		Tags: []string{name}, NetworkMode: network, NoCache: true, Remove: true, ForceRemove: true, Version: build.BuilderV1,
	})
	if err != nil {
		return fmt.Errorf("the engine's classic builder refuses the drill's build: %w", err)
	}
	defer said.Body.Close()
	if err := listen(said.Body); err != nil {
		return fmt.Errorf("the engine's classic builder does not build the drill's image: %w", err)
	}
	return nil
}

// maxSaid bounds what an engine may say of a load or a build, in bytes.
const maxSaid = 4 << 20

// listen reads what the engine says to its end, and gives the error that it
// tells of.
func listen(said io.Reader) error {
	dec := json.NewDecoder(io.LimitReader(said, maxSaid))
	for {
		var m struct{ Error string }
		if err := dec.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}

func (e *dockerEngine) create(ctx context.Context, ref, network, id, label string) (string, error) {
	made, err := e.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:       "tidewaiter-drill-" + id,
		Config:     &container.Config{Image: ref, Labels: map[string]string{labelName: label}},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(network)},
	})
	if err != nil {
		return "", fmt.Errorf("create the container: %w", err)
	}
	return made.ID, nil
}

func (e *dockerEngine) start(ctx context.Context, id string) error {
	if _, err := e.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the container: %w", err)
	}
	return nil
}

// runTime bounds how long the drill's container may run: it needs two seconds.
const runTime = 30 * time.Second

// ended gives, once, how the container ended: nil if well.
func (e *dockerEngine) ended(ctx context.Context, id string) <-chan error {
	out := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, runTime)
		defer cancel()
		w := e.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case err := <-w.Error:
			out <- fmt.Errorf("wait for the container: %w", err)
		case <-ctx.Done():
			out <- fmt.Errorf("wait for the container: %w", ctx.Err())
		case how := <-w.Result:
			if how.StatusCode != 0 {
				out <- fmt.Errorf("the drill's program ended with status %d; see drill/payload/drill.c", how.StatusCode)
				return
			}
			out <- nil
		}
	}()
	return out
}

// sweep removes what drills have made and nobody wants to keep.
func (e *dockerEngine) sweep(ctx context.Context) error {
	marked := make(client.Filters).Add("label", labelName+"="+mark)
	var faults []error
	note := func(what, name string, err error) {
		if err != nil && !errdefs.IsNotFound(err) {
			faults = append(faults, fmt.Errorf("remove the drill's %s %s: %w", what, name, err))
		}
	}
	containers, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: marked})
	note("containers", "", err)
	for _, c := range containers.Items {
		_, err := e.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		note("container", c.ID, err)
	}
	images, err := e.ImageList(ctx, client.ImageListOptions{Filters: marked})
	note("images", "", err)
	for range images.Items { // one that others were built on goes after them
		images.Items = slices.DeleteFunc(images.Items, func(i image.Summary) bool {
			_, err := e.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
			return err == nil || errdefs.IsNotFound(err)
		})
	}
	for _, i := range images.Items {
		note("image", i.ID, errors.New("it is in use"))
	}
	networks, err := e.NetworkList(ctx, client.NetworkListOptions{Filters: marked})
	note("networks", "", err)
	for _, n := range networks.Items {
		_, err := e.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		note("network", n.Name, err)
	}
	return errors.Join(faults...)
}
