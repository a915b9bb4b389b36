package docker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// InspectContainer is what docker inspect prints about containers (GET
// /containers/{id}/json). Its events are look-ups and have no time. The
// environment is never kept: it holds secrets.
func InspectContainer() *source.Format {
	return inspectFormat("docker-inspect", "Docker container inspection (docker inspect)", "HostConfig", "State")
}

// InspectImage is what docker image inspect prints (GET /images/{name}/json).
// Its events are look-ups and have no time.
func InspectImage() *source.Format {
	return inspectFormat("docker-image-inspect", "Docker image inspection (docker image inspect)", "RepoDigests", "RootFS")
}

// InspectNetwork is what docker network inspect prints (GET /networks/{id}): who
// is connected, and by which address. It tells that of a container before it
// runs, and does not tell its start; a live sensor adds, as "LookedUpAt" in RFC
// 3339, when it asked. Its events are look-ups and have no time.
func InspectNetwork() *source.Format {
	return inspectFormat("docker-network-inspect", "Docker network inspection (docker network inspect)", "IPAM", "Containers")
}

// inspectFormat makes any of the formats. One call of docker inspect can print
// containers, images and networks together, so each reads all, object by object;
// keys tell only which name the file goes by.
func inspectFormat(name, title string, keys ...string) *source.Format {
	return &source.Format{
		Name:    name,
		Title:   title,
		Source:  event.Inspect,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("Id") && head.HasKeys(keys...) {
				return 90
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder {
			return &inspectDecoder{out: out, refs: image.Parser{Docker: true}}
		},
	}
}

var errNotInspected = errors.New("no object that docker inspect prints")

type inspectDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	refs   image.Parser
}

// Decode implements source.Decoder.
func (d *inspectDecoder) Decode(rec source.Record) {
	bodies, err := d.read(rec.Data)
	var first event.Body
	if len(bodies) > 0 {
		first = bodies[0]
	}
	if !d.out.Tells(rec, first, err) {
		return
	}
	// Two look-ups of one container at different times are two records.
	d.out.Event(event.Event{Body: first}, rec.Data, rec.Span)
	for i, body := range bodies[1:] {
		d.out.Beside(event.Event{Body: body}, strconv.AppendInt(append(slices.Clip(rec.Data), '|'), int64(i), 10), rec.Span)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *inspectDecoder) Flush() {}

// read gives nothing for volumes and the like, and one body for each container
// on a network.
func (d *inspectDecoder) read(data []byte) ([]event.Body, error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return nil, err
	}
	bodies, err := d.describe(v)
	if err == nil {
		err = d.parser.Fault()
	}
	if err != nil {
		return nil, err
	}
	return bodies, nil
}

func (d *inspectDecoder) describe(v jsonrecord.Value) ([]event.Body, error) {
	switch {
	case v.Get("State").IsObject() || (v.Get("HostConfig").IsObject() && v.Get("Config").IsObject()):
		body, err := describeContainer(v, &d.refs)
		return []event.Body{body}, err
	case v.Get("RootFS").IsObject() || v.Get("RepoDigests").Exists():
		body, err := describeImage(v, &d.refs)
		return []event.Body{body}, err
	case v.Get("IPAM").IsObject() && v.Get("Containers").IsObject():
		return describeNetwork(v)
	case !v.Get("Id").IsString() && !v.Get("ID").IsString() && !v.Get("Name").IsString():
		return nil, errNotInspected
	}
	return nil, nil
}

func describeContainer(v jsonrecord.Value, refs *image.Parser) (event.Body, error) {
	id := v.String("Id")
	if id == "" {
		return nil, errNoID
	}
	config := v.Get("Config")
	labels, err := stringMap(config.Get("Labels"), nil)
	if err != nil {
		return nil, err
	}
	c := &event.ContainerDescription{
		ID:          id,
		Name:        strings.TrimPrefix(v.String("Name"), "/"),
		Image:       refs.Parse(config.String("Image")),
		Command:     command(v, config),
		HealthCheck: healthCheck(config, v.String("Platform")),
		Risk:        risk(v.Get("HostConfig"), v.Array("Mounts"), config.String("User")),
		Labels:      labels,
	}
	if id, err := image.ParseID(v.String("Image")); err == nil {
		c.ImageID = id
	}
	if pid, ok := v.Int("State", "Pid"); ok && pid > 0 {
		c.PID = int(pid)
	}
	if c.CreatedAt, err = statedTime(v.String("Created")); err != nil {
		return nil, fmt.Errorf("time of creation: %w", err)
	}
	if c.StartedAt, err = statedTime(v.String("State", "StartedAt")); err != nil {
		return nil, fmt.Errorf("time of start: %w", err)
	}
	if c.Networks, err = networks(v.Get("NetworkSettings")); err != nil {
		return nil, err
	}
	return c, nil
}

// command is entry point and arguments as the engine put them together, or as
// they were configured.
func command(v, config jsonrecord.Value) []string {
	if path := v.String("Path"); path != "" {
		return append([]string{path}, v.Strings("Args")...)
	}
	return append(config.Strings("Entrypoint"), config.Strings("Cmd")...)
}

// statedTime reads a time as Go prints it. The year 1 means "never" there. A
// fraction has lost its trailing zeros, so its digits say nothing about the
// clock, which counts nanoseconds.
func statedTime(s string) (event.Time, error) {
	if s == "" || strings.HasPrefix(s, "0001-01-01T") {
		return event.Time{}, nil
	}
	at, err := event.ParseRFC3339(s)
	if err == nil && at.Res < event.Second {
		at.Res = event.Nanosecond
	}
	return at, err
}

// healthCheck gives the argv that the engine runs as health check, so that it
// equals the command of the exec events: a shell form runs under the image's
// shell, by default /bin/sh -c, on Windows cmd /S /C (moby, daemon/health.go).
func healthCheck(config jsonrecord.Value, platform string) []string {
	test := config.Strings("Healthcheck", "Test")
	if len(test) < 2 {
		return nil // none, NONE, or inherited from an image that is not shown
	}
	switch test[0] {
	case "CMD":
		return test[1:]
	case "CMD-SHELL":
		shell := config.Strings("Shell")
		switch {
		case len(shell) > 0:
		case platform == "windows":
			shell = []string{"cmd", "/S", "/C"}
		default:
			shell = []string{"/bin/sh", "-c"}
		}
		return append(slices.Clip(shell), test[1])
	}
	return nil
}

// networks lists the container's addresses: those per network, and those that
// old engines printed beside them for the default bridge.
func networks(settings jsonrecord.Value) ([]event.NetworkAddress, error) {
	var list []event.NetworkAddress
	var fault error
	settings.Each(func(name string, n jsonrecord.Value) {
		addrs, err := addresses(n)
		if err != nil {
			fault = fmt.Errorf("network %q: %w", clip(name), err)
		}
		list = append(list, event.NetworkAddress{NetworkID: n.String("NetworkID"), NetworkName: name, Addrs: addrs})
	}, "Networks")
	slices.SortStableFunc(list, func(a, b event.NetworkAddress) int { return strings.Compare(a.NetworkName, b.NetworkName) })
	legacy, err := addresses(settings)
	if err != nil {
		fault = fmt.Errorf("network settings: %w", err)
	}
	legacy = slices.DeleteFunc(legacy, func(a netip.Addr) bool {
		return slices.ContainsFunc(list, func(n event.NetworkAddress) bool { return slices.Contains(n.Addrs, a) })
	})
	if len(legacy) > 0 {
		list = append(list, event.NetworkAddress{Addrs: legacy})
	}
	return list, fault
}

// addresses are the IPv4 and the global IPv6 address of one network; none
// while the container is not running.
func addresses(n jsonrecord.Value) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, key := range []string{"IPAddress", "GlobalIPv6Address"} {
		text := n.String(key)
		if text == "" {
			continue
		}
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is not an address", key, clip(text))
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// describeNetwork tells the addresses of those that are on a network. The
// engine lists, by their ids, containers that have one.
func describeNetwork(v jsonrecord.Value) ([]event.Body, error) {
	id := v.String("Id")
	if id == "" {
		return nil, errNoID
	}
	at, err := statedTime(v.String("LookedUpAt"))
	if err != nil {
		return nil, fmt.Errorf("time of the look-up: %w", err)
	}
	var out []event.Body
	v.Each(func(container string, end jsonrecord.Value) {
		n := event.NetworkAddress{NetworkID: id, NetworkName: v.String("Name"), At: at}
		for _, key := range []string{"IPv4Address", "IPv6Address"} {
			text := end.String(key)
			if text == "" {
				continue
			}
			p, fault := netip.ParsePrefix(text)
			if fault != nil {
				err = fmt.Errorf("%s %q is not an address with its prefix's length", key, clip(text))
			}
			n.Addrs = append(n.Addrs, p.Addr())
		}
		if isHex(container, 12) && len(n.Addrs) > 0 {
			out = append(out, &event.ContainerDescription{ID: container, Name: end.String("Name"), Networks: []event.NetworkAddress{n}})
		}
	}, "Containers")
	return out, err
}

func describeImage(v jsonrecord.Value, refs *image.Parser) (event.Body, error) {
	id, err := image.ParseID(v.String("Id"))
	if err != nil {
		return nil, fmt.Errorf("image id: %w", err)
	}
	return &event.ImageDescription{
		ID:           id,
		RepoDigests:  repoNames(v.Strings("RepoDigests"), refs),
		RepoTags:     repoNames(v.Strings("RepoTags"), refs),
		Architecture: v.String("Architecture"),
		OS:           v.String("Os"),
	}, nil
}

// repoNames parses names, without "<none>", which old engines printed for an
// image that has none.
func repoNames(texts []string, parser *image.Parser) []image.Reference {
	var refs []image.Reference
	for _, text := range texts {
		if !strings.Contains(text, "<none>") {
			refs = append(refs, parser.Parse(text))
		}
	}
	return refs
}
