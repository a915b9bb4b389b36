package host

import (
	"errors"
	"io/fs"
	"path/filepath"

	"tidewaiter/posture"
	"tidewaiter/posture/document"
)

// configured looks, where no dockerd runs, at how it would be started.
func (g *gatherer) configured() {
	for _, t := range []posture.Topic{posture.TopicContainers, posture.TopicImages, posture.TopicNetworks} {
		g.gap(t, "this host", errors.New("no dockerd runs, and other runtimes are not asked; give pod specs"))
	}
	before := len(g.facts.Gaps)
	r := &document.Reader{Facts: g.facts, Daemon: "dockerd, not running"}
	read := 0
	for _, name := range []string{"etc/docker/daemon.json", "etc/systemd/system/docker.service", "lib/systemd/system/docker.service", "usr/lib/systemd/system/docker.service",
		"etc/systemd/system/docker.socket", "lib/systemd/system/docker.socket", "usr/lib/systemd/system/docker.socket", "etc/systemd/system/docker.service.d/*.conf"} {
		files, err := filepath.Glob(filepath.Join(g.opt.Root, name))
		if err != nil {
			continue // the patterns above are well formed
		}
		for _, file := range files {
			data, err := limited(file, 1<<20)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = r.Document(file, data)
			}
			if err != nil {
				g.gap(posture.TopicAPI, file, err)
				continue
			}
			read++
		}
	}
	r.Finish()
	if read == 0 && len(g.facts.Gaps) == before {
		g.gap(posture.TopicAPI, "this host", errors.New("no dockerd runs, and none is configured"))
	}
}

// defaultSockets looks at the sockets that runtimes have by default.
func (g *gatherer) defaultSockets() {
	for _, name := range []string{"run/docker.sock", "run/containerd/containerd.sock", "run/crio/crio.sock", "run/podman/podman.sock", "run/k3s/containerd/containerd.sock"} {
		file := filepath.Join(g.opt.Root, name)
		if found, err := filepath.Glob(file); err == nil && len(found) == 1 {
			g.socket("/"+name, file)
		}
	}
	if len(g.facts.Sockets) == 0 {
		g.facts.Looked = append(g.facts.Looked, posture.Looked{Topic: posture.TopicSockets, Where: filepath.Join(g.opt.Root, "run"), What: "no runtime's socket is there"})
	}
}
