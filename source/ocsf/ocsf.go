// Package ocsf reads what agents on hosts write in the Open Cybersecurity
// Schema Framework, bare or as data lakes keep it.
//
// In: events as JSON. Out: event.Process for a program that was started,
// event.Socket for a connection that was asked for.
package ocsf

import (
	"bytes"
	"errors"
	"math"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/actor"
	"tidewaiter/source/jsonrecord"
)

// Events is Process Activity and Network Activity of OCSF (schema.ocsf.io): the
// launch of a process, and a connection that a process opened outward. Other
// classes and activities are skipped, and so is a connection of which no
// process is told, as clouds' flow logs are written.
func Events() *source.Format {
	return &source.Format{
		Name:    "ocsf",
		Title:   "OCSF process and network activity",
		Source:  event.OCSF,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("class_uid", "time", "metadata") && bytes.Contains(head.Data, []byte(`"activity_id"`)) {
				return 85
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder { return actor.NewDecoder(out, new(reader).read) },
	}
}

// Numbers of OCSF.
const (
	processActivity = 1007
	networkActivity = 4001
	launch          = 1 // of processActivity
	open            = 1 // of networkActivity
	inbound         = 1 // direction_id
	failure         = 2 // status_id
)

// Faults of a record.
var (
	errNotOCSF = errors.New("no event of OCSF: expected class_uid, activity_id and time")
	errTime    = errors.New("time is no number of milliseconds since 1970")
)

// reader reads one record at a time.
type reader struct{ refs image.Parser }

func (d *reader) read(v jsonrecord.Value) (e event.Event, key string, err error) {
	class, ok := v.Int("class_uid")
	activity, okActivity := v.Int("activity_id")
	if !ok || !okActivity || !v.Get("time").Exists() {
		return e, "", errNotOCSF
	}
	ms, ok := v.Int("time")
	if !ok || ms <= 0 || ms > math.MaxInt64/event.Millisecond {
		return e, "", errTime
	}
	e.Time = event.Time{At: ms * event.Millisecond, Res: event.Millisecond}
	switch {
	case class == processActivity && activity == launch:
		e.Body, err = d.process(v)
	case class == networkActivity && activity == open:
		e.Body, err = d.socket(v)
	}
	e.Place = event.Place{Account: v.String("cloud", "account", "uid"), Region: v.String("cloud", "region"), Host: v.String("device", "hostname")}
	return e, v.String("metadata", "uid"), err
}

// actor reads a process object of an event.
func (d *reader) actor(v, p jsonrecord.Value) (a actor.Actor, err error) {
	if a.PID, err = actor.PID(p.Get("pid")); err != nil {
		return a, err
	}
	parent := p.Get("parent_process")
	if !parent.IsObject() && v.Get("process").IsObject() {
		parent = v.Get("actor", "process") // who launches a process is its parent
	}
	if a.PPID, err = actor.PID(parent.Get("pid")); err != nil {
		return a, err
	}
	user := p.Get("user")
	if !user.IsObject() {
		user = v.Get("actor", "user")
	}
	a.UID, a.AUID, a.User = actor.User(user.Get("uid")), actor.User(p.Get("auid")), user.String("name")
	a.Exe, a.Comm, a.Cwd, a.Line = p.String("file", "path"), p.String("name"), p.String("working_directory"), p.String("cmd_line")
	a.ParentExe, a.ParentLine = parent.String("file", "path"), parent.String("cmd_line")
	c := p.Get("container")
	if !c.IsObject() {
		c = v.Get("device", "container")
	}
	a.Container = actor.Container(c.String("uid"))
	if pod := c.String("pod_uuid"); pod != "" {
		a.Of.UID = pod
	}
	if name := c.String("image", "name"); name != "" {
		if tag := c.String("image", "tag"); tag != "" {
			name += ":" + tag
		}
		a.Of.Image = d.refs.Parse(name)
	}
	return a, nil
}

func (d *reader) process(v jsonrecord.Value) (event.Body, error) {
	a, err := d.actor(v, v.Get("process"))
	if err != nil {
		return nil, err
	}
	return a.Process()
}

func (d *reader) socket(v jsonrecord.Value) (event.Body, error) {
	direction, _ := v.Int("connection_info", "direction_id")
	if direction == inbound || !v.Get("actor", "process", "pid").Exists() || v.String("dst_endpoint", "ip") == "" {
		return nil, nil
	}
	a, err := d.actor(v, v.Get("actor", "process"))
	if err != nil {
		return nil, err
	}
	to, err := actor.Address(v.String("dst_endpoint", "ip"), v.Get("dst_endpoint", "port"))
	if err != nil {
		return nil, err
	}
	status, _ := v.Int("status_id")
	return a.Socket(to, status != failure)
}
