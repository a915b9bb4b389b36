package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tidewaiter/image"
	"tidewaiter/posture"
)

// inspected is what is read of "docker inspect" (Engine API, ContainerInspect).
type inspected struct {
	ID, Name, Image string
	State           struct{ Running bool }
	Config          struct{ Image, User string }
	HostConfig      struct {
		Privileged                                         bool
		CapAdd, Binds                                      []string
		NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode string
		SecurityOpt                                        []string
	}
	Mounts []struct {
		Type, Source, Destination string
		RW                        bool
	}
	NetworkSettings struct{ Networks map[string]json.RawMessage }
}

func (r *Reader) container(where string, data []byte) error {
	c, err := Container(where, data)
	if err == nil {
		r.Facts.Containers = append(r.Facts.Containers, c)
	}
	return err
}

// Container reads one container as the Docker Engine describes it.
func Container(where string, data []byte) (posture.Container, error) {
	var in inspected
	if err := json.Unmarshal(data, &in); err != nil {
		return posture.Container{}, fmt.Errorf("read a container's description: %w", err)
	}
	c := posture.Container{
		Name: strings.TrimPrefix(in.Name, "/"), ID: in.ID, Where: where, Image: image.ParseDocker(in.Config.Image),
		User:       posture.Said[string]{Value: in.Config.User, Where: where},
		Privileged: in.HostConfig.Privileged, CapAdd: in.HostConfig.CapAdd, Running: in.State.Running,
	}
	c.ImageID, _ = image.ParseID(in.Image) // unknown is the zero digest
	for _, m := range []struct{ mode, name string }{
		{in.HostConfig.NetworkMode, "network"}, {in.HostConfig.PidMode, "pid"}, {in.HostConfig.IpcMode, "ipc"},
		{in.HostConfig.UTSMode, "uts"}, {in.HostConfig.UsernsMode, "user"},
	} {
		if m.mode == "host" {
			c.HostNamespaces = append(c.HostNamespaces, m.name)
		}
	}
	for _, m := range in.Mounts {
		if m.Type == "bind" { // a volume's folder is Docker's own
			c.Mounts = append(c.Mounts, posture.Mount{Source: m.Source, Target: m.Destination, ReadOnly: !m.RW})
		}
	}
	if len(in.Mounts) == 0 {
		for _, b := range in.HostConfig.Binds {
			part := strings.Split(b, ":")
			if len(part) > 1 && strings.HasPrefix(part[0], "/") {
				ro := len(part) > 2 && slices.Contains(strings.Split(part[2], ","), "ro")
				c.Mounts = append(c.Mounts, posture.Mount{Source: part[0], Target: part[1], ReadOnly: ro})
			}
		}
	}
	for name := range in.NetworkSettings.Networks {
		if name != "host" && name != "none" {
			c.Networks = append(c.Networks, name)
		}
	}
	slices.Sort(c.Networks)
	return c, nil
}

// inspectedImage is what is read of "docker image inspect" (Engine API,
// ImageInspect).
type inspectedImage struct {
	ID                    string
	RepoTags, RepoDigests []string
	Created               string
	Config                *struct{ User string }
}

func (r *Reader) image(where string, data []byte) error {
	im, err := Image(where, data)
	if err == nil {
		r.Facts.Images = append(r.Facts.Images, im)
	}
	return err
}

// Image reads one image as the Docker Engine describes it. Its history is
// another request.
func Image(where string, data []byte) (posture.Image, error) {
	var in inspectedImage
	if err := json.Unmarshal(data, &in); err != nil {
		return posture.Image{}, fmt.Errorf("read an image's description: %w", err)
	}
	id, err := image.ParseID(in.ID)
	if err != nil {
		return posture.Image{}, fmt.Errorf("read an image's description: %w", err)
	}
	im := posture.Image{Where: where, ID: id, Digests: []image.Digest{id}, HasOrigins: true, Name: id.Short()}
	for _, t := range in.RepoTags {
		im.Names = append(im.Names, image.ParseDocker(t))
	}
	for _, d := range in.RepoDigests {
		ref := image.ParseDocker(d)
		if ref.Digest().IsZero() {
			continue
		}
		im.Origins = append(im.Origins, ref)
		if !slices.Contains(im.Digests, ref.Digest()) {
			im.Digests = append(im.Digests, ref.Digest())
		}
	}
	switch {
	case len(im.Names) > 0:
		im.Name = im.Names[0].Familiar()
	case len(im.Origins) > 0:
		im.Name = im.Origins[0].Familiar()
	}
	if at, err := time.Parse(time.RFC3339Nano, in.Created); err == nil {
		im.Created = at
	}
	if in.Config != nil {
		im.User = in.Config.User
	}
	return im, nil
}

// History reads the answer to an image's history, newest first as Docker gives
// it.
func History(data []byte) ([]string, error) {
	var in []struct{ CreatedBy string }
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("read an image's history: %w", err)
	}
	out := make([]string, 0, len(in))
	for _, h := range slices.Backward(in) {
		out = append(out, h.CreatedBy)
	}
	return out, nil
}

func (r *Reader) network(where string, data []byte) error {
	n, err := Network(where, data)
	if err == nil {
		r.Facts.Networks = append(r.Facts.Networks, n)
	}
	return err
}

// Network reads one network as the Docker Engine describes it.
func Network(where string, data []byte) (posture.Network, error) {
	var in struct {
		Name, Driver string
		Options      map[string]string
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return posture.Network{}, fmt.Errorf("read a network's description: %w", err)
	}
	if in.Name == "" {
		return posture.Network{}, errors.New("a network without a name")
	}
	n := posture.Network{Name: in.Name, Driver: in.Driver, Where: where, ICC: true}
	n.Default = in.Options["com.docker.network.bridge.default_bridge"] == "true" || in.Name == "bridge" && in.Driver == "bridge"
	if in.Options["com.docker.network.bridge.enable_icc"] == "false" {
		n.ICC = false
	}
	return n, nil
}
