// Package ecs reads what agents on hosts write in the Elastic Common Schema:
// Elastic Defend, Auditbeat, and what is made to look like them.
//
// In: documents as JSON. Out: event.Process for a program that was started,
// event.Socket for a connection that was asked for.
package ecs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/actor"
	"tidewaiter/source/jsonrecord"
)

// Events is process and network events in ECS (elastic.co, "ECS field
// reference"): bare documents, or as a search gives them, with the document
// under _source. A process's start has event.category process and event.type
// start; a connection that a process asked for has event.category network, a
// direction outward, and the process. The rest is skipped, and so are alerts,
// which repeat events.
func Events() *source.Format {
	return &source.Format{
		Name:    "ecs",
		Title:   "ECS process and network events (Elastic Defend, Auditbeat)",
		Source:  event.ECS,
		Framing: source.JSONValues,
		Sniff:   sniff,
		New:     func(out *source.Output) source.Decoder { return actor.NewDecoder(out, new(reader).read) },
	}
}

// sniff is less sure than those who know their own product's documents in ECS.
func sniff(head source.Sample) int {
	for _, other := range []string{`"winlog"`, `"auditID"`, `"suricata"`, `"zeek"`} {
		if bytes.Contains(head.Data, []byte(other)) {
			return 0
		}
	}
	if !head.HasKeys("@timestamp", "event") && !head.HasKeys("_source") {
		return 0
	}
	if bytes.Contains(head.Data, []byte(`"ecs"`)) && bytes.Contains(head.Data, []byte(`"category"`)) {
		return 50
	}
	return 0
}

// Faults of a record.
var (
	errNotECS = errors.New("no document of ECS: expected @timestamp and event")
	errNoTime = errors.New("@timestamp is no time")
)

// reader reads one record at a time.
type reader struct{ refs image.Parser }

func (d *reader) read(v jsonrecord.Value) (e event.Event, key string, err error) {
	if inner := v.Get("_source"); inner.IsObject() {
		v = inner
	}
	if !v.Get("@timestamp").Exists() || !v.Get("event").IsObject() {
		return e, "", errNotECS
	}
	if e.Time, err = event.ParseRFC3339(v.Bytes("@timestamp")); err != nil {
		return e, "", fmt.Errorf("%w: %w", errNoTime, err)
	}
	is := func(key, value string) bool { return slices.Contains(v.Strings("event", key), value) }
	switch {
	case v.String("event", "kind") != "" && v.String("event", "kind") != "event":
	case is("category", "process") && is("type", "start") && !forked(v.Strings("event", "action")):
		e.Body, err = d.process(v)
	case is("category", "network") && outward(v.String("network", "direction")) && !is("type", "end"):
		e.Body, err = d.socket(v)
	}
	e.Place = event.Place{
		Account: v.String("cloud", "account", "id"), Region: v.String("cloud", "region"),
		Cluster: v.String("orchestrator", "cluster", "name"), Host: cmp.Or(v.String("host", "name"), v.String("host", "hostname")),
	}
	return e, v.String("event", "id"), err
}

// forked reports a process that started no program yet: it is its parent's
// double.
func forked(actions []string) bool {
	return len(actions) == 1 && actions[0] == "fork"
}

// outward reports whether the host's own process asked: the words of ECS, and
// those of the agents before it.
func outward(direction string) bool {
	switch strings.ToLower(direction) {
	case "egress", "outbound", "outgoing":
		return true
	}
	return false
}

func (d *reader) actor(v jsonrecord.Value) (a actor.Actor, err error) {
	p := v.Get("process")
	if a.PID, err = actor.PID(p.Get("pid")); err != nil {
		return a, err
	}
	parent := p.Get("parent", "pid")
	if parent.IsNull() {
		parent = p.Get("ppid") // before ECS 1.0
	}
	if a.PPID, err = actor.PID(parent); err != nil {
		return a, err
	}
	user := v.Get("user", "id")
	if user.IsNull() {
		user = p.Get("user", "id")
	}
	a.UID, a.AUID, a.User = actor.User(user), actor.User(v.Get("user", "audit", "id")), v.String("user", "name")
	a.Exe, a.Comm, a.Cwd = p.String("executable"), p.String("name"), p.String("working_directory")
	a.Args, a.Line = p.Strings("args"), p.String("command_line")
	a.ParentExe, a.ParentLine = p.String("parent", "executable"), p.String("parent", "command_line")
	a.Container = actor.Container(v.String("container", "id"))
	for _, key := range []string{"orchestrator", "kubernetes"} {
		o := v.Get(key)
		switch {
		case key == "kubernetes" && o.Get("pod").IsObject():
			a.Of = event.PodRef{Namespace: o.String("namespace"), Pod: o.String("pod", "name"), UID: o.String("pod", "uid"), Container: o.String("container", "name")}
		case o.String("resource", "type") == "pod":
			a.Of = event.PodRef{Namespace: o.String("namespace"), Pod: o.String("resource", "name"), UID: o.String("resource", "id")}
		}
	}
	if name := v.String("container", "image", "name"); name != "" {
		if tags := v.Strings("container", "image", "tag"); len(tags) == 1 && !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
			name += ":" + tags[0]
		}
		a.Of.Image = d.refs.Parse(name)
	}
	return a, nil
}

func (d *reader) process(v jsonrecord.Value) (event.Body, error) {
	a, err := d.actor(v)
	if err != nil {
		return nil, err
	}
	return a.Process()
}

func (d *reader) socket(v jsonrecord.Value) (event.Body, error) {
	if !v.Get("process", "pid").Exists() || v.String("destination", "ip") == "" {
		return nil, nil // a network sensor's, or of no address
	}
	a, err := d.actor(v)
	if err != nil {
		return nil, err
	}
	to, err := actor.Address(v.String("destination", "ip"), v.Get("destination", "port"))
	if err != nil {
		return nil, err
	}
	return a.Socket(to, v.String("event", "outcome") != "failure")
}
