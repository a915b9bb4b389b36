// Package document reads what describes a host or a cluster: daemon.json, unit
// files, what docker and kubectl print, packet filters, audit logs.
//
// In: files and folders. Out: posture.Facts. What a file is is told by its
// content; what cannot be read or recognised becomes a gap, with its reason.
package document

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tidewaiter/posture"
	"tidewaiter/source"
)

// Bounds on what is read.
const (
	maxFile  = 64 << 20 // bytes of one document
	maxFiles = 10_000   // files of all folders
)

// Reader reads documents into facts. All files of one run are taken to be of
// one host.
type Reader struct {
	// Facts receives what is read. Never nil.
	Facts *posture.Facts
	// Formats are the log formats that may tell who uses what: audit logs.
	Formats []*source.Format
	// Daemon is what results call the Docker daemon; "" means "dockerd".
	Daemon string

	daemon   Daemon
	objects  int
	bindings []binding
}

// Path reads a file, or all files below a folder.
func (r *Reader) Path(path string) {
	n, before := 0, len(r.Facts.Gaps)
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			r.gap(posture.TopicInput, p, err)
		case d.IsDir():
		case n >= maxFiles:
			r.gap(posture.TopicInput, path, fmt.Errorf("more than %d files; the rest was not read", maxFiles))
			return fs.SkipAll
		default:
			n++
			r.file(p)
		}
		return nil
	})
	if err != nil {
		r.gap(posture.TopicInput, path, err)
	}
	if n == 0 && len(r.Facts.Gaps) == before {
		r.gap(posture.TopicInput, path, errors.New("no file in it"))
	}
}

// Finish puts together what several files say about one thing.
func (r *Reader) Finish() {
	r.bind()
	d := r.daemon
	if d.ArgsWhere == "" && d.ConfigWhere == "" && d.InfoWhere == "" && len(d.Listens) == 0 {
		return
	}
	d.Name = cmp.Or(r.Daemon, "dockerd")
	e, gaps := d.Engine()
	r.Facts.Engines = append(r.Facts.Engines, e)
	r.Facts.Gaps = append(r.Facts.Gaps, gaps...)
}

func (r *Reader) gap(t posture.Topic, where string, err error) {
	why := err.Error()
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = pe.Err.Error()
	}
	r.Facts.Gaps = append(r.Facts.Gaps, posture.Gap{Topic: t, Where: where, Why: why})
}

// file reads one file.
func (r *Reader) file(path string) {
	info, err := os.Stat(path)
	if err != nil {
		r.gap(posture.TopicInput, path, err)
		return
	}
	if !info.Mode().IsRegular() {
		r.gap(posture.TopicInput, path, errors.New("not a regular file"))
		return
	}
	known, err := r.log(path)
	if known || err != nil {
		if err != nil {
			r.gap(posture.TopicInput, path, err)
		}
		return
	}
	data, err := bounded(path)
	if err != nil {
		r.gap(posture.TopicInput, path, err)
		return
	}
	if err := r.Document(path, data); err != nil {
		r.gap(posture.TopicInput, path, err)
	}
}

func bounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("more than %d MiB", maxFile>>20)
	}
	return data, err
}

// errUnknown is what a document is that nobody recognises.
var errUnknown = errors.New("not recognised: no daemon.json, unit file, output of docker or kubectl, packet filter or audit log")

// Document reads one document; where is how it is cited.
func (r *Reader) Document(where string, data []byte) error {
	text := string(data)
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		if filepath.Base(where) == "daemon.json" {
			r.daemon.Config, r.daemon.ConfigWhere = []byte("{}"), where
			return nil
		}
		return errors.New("empty")
	case strings.Contains(text, "[Service]") && strings.Contains(text, "ExecStart"), strings.Contains(text, "[Socket]") && strings.Contains(text, "ListenStream"):
		return r.unit(where, text)
	case isPacketFilter(trimmed):
		r.Facts.Firewalls = append(r.Facts.Firewalls, PacketFilter(where, where, text))
		return nil
	case strings.Contains(text, "Server Version: ") && !strings.HasPrefix(trimmed, "{"):
		in, err := textInfo(data)
		r.daemon.Info, r.daemon.InfoWhere = in, where
		return err
	}
	values, err := decode(data)
	if err != nil {
		return err
	}
	for _, v := range values {
		if err := r.value(where, v); err != nil {
			return err
		}
	}
	return nil
}

// unit reads a systemd unit, or a drop-in for one.
func (r *Reader) unit(where, text string) error {
	commands, listens := unitCommands(text)
	read := false
	for _, c := range commands {
		if len(c) == 0 {
			continue
		}
		switch filepath.Base(c[0]) {
		case "dockerd":
			r.daemon.Args, r.daemon.ArgsWhere, read = c[1:], where, true
		case "kubelet":
			r.Facts.Kubelets = append(r.Facts.Kubelets, KubeletParts{Name: "kubelet", Args: c[1:], ArgsWhere: where}.Kubelet())
			read = true
		}
	}
	if len(listens) > 0 && strings.Contains(strings.ToLower(text), "docker") {
		r.daemon.Listens, r.daemon.ListensWhere, read = listens, where, true
	}
	if !read {
		return errors.New("a unit, but neither dockerd's, docker.socket nor the kubelet's")
	}
	return nil
}

// decode reads JSON values one after another, or YAML documents, as JSON.
func decode(data []byte) ([]json.RawMessage, error) {
	trimmed := bytes.TrimSpace(data)
	if trimmed[0] == '{' || trimmed[0] == '[' {
		var out []json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(trimmed))
		for {
			var v json.RawMessage
			err := dec.Decode(&v)
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			if err != nil {
				return nil, fmt.Errorf("read JSON: %w", err)
			}
			out = append(out, v)
		}
	}
	var out []json.RawMessage
	dec := yaml.NewDecoder(bytes.NewReader(trimmed))
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, errUnknown
		}
		switch v.(type) {
		case map[string]any, []any:
		case nil:
			continue
		default:
			return nil, errUnknown
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("read YAML: %w", err) // a key that is no text
		}
		out = append(out, raw)
	}
}

// value reads one JSON value.
func (r *Reader) value(where string, data json.RawMessage) error {
	if data[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("an empty list: of what, it does not say")
		}
		for _, v := range all {
			if err := r.value(where, v); err != nil {
				return err
			}
		}
		return nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return errUnknown
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, ok := keys[n]; return !ok })
	}
	switch {
	case has("kind", "apiVersion"):
		return r.object(where, data)
	case has("HostConfig", "Config"):
		return r.container(where, data)
	case has("RootFS", "Id"):
		return r.image(where, data)
	case has("IPAM", "Driver", "Name"):
		return r.network(where, data)
	case has("ServerVersion"), has("DockerRootDir"):
		r.daemon.Info, r.daemon.InfoWhere = data, where
		return nil
	case filepath.Base(where) == "daemon.json", slices.ContainsFunc(configKeys, func(k string) bool { return has(k) }):
		r.daemon.Config, r.daemon.ConfigWhere = data, where
		return nil
	}
	return errUnknown
}
