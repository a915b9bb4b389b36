// Package registry reads what image registries tell of themselves: the
// notifications of the CNCF distribution registry (Docker's registry, and those
// built on it), Harbor's webhooks, and the image actions that Amazon ECR sends
// to EventBridge.
//
// In: JSON as a webhook's receiver stores it, one message per line or printed
// over many. Out: event.RegistryAction, one for each manifest that was pushed,
// pulled or deleted. Layers and configurations come and go with their manifests
// and are skipped.
package registry

import (
	"errors"
	"fmt"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Notifications is the format.
//
// One message may hold many notifications that have nothing to do with each
// other. Each counts as a record of its own and is cited by its own bytes, so
// that one of them that can't be read costs only itself.
//
// A deletion names a digest without saying of what, so some deletions are of
// layers. An image without a tag is named by its digest, never as "latest".
func Notifications() *source.Format {
	return &source.Format{
		Name:    "registry-notifications",
		Title:   "registry notifications (distribution, Harbor, ECR; JSON)",
		Source:  event.Registry,
		Framing: source.JSONValues,
		Sniff:   sniff,
		New:     func(out *source.Output) source.Decoder { return &decoder{out: out} },
	}
}

// dialect is who wrote a message.
type dialect uint8

const (
	foreign dialect = iota
	several         // notifications in an envelope
	bare            // a notification without envelope
	harbor
	harborCloud // Harbor's messages in the form of CloudEvents
	ecr
)

func dialectOf(v jsonrecord.Value) dialect {
	switch {
	case v.Get("events").IsArray():
		return several
	case isNotification(v):
		return bare
	case v.Get("event_data").IsObject() && v.Get("occur_at").Exists():
		return harbor
	case v.Get("specversion").IsString() && v.Get("data", "resources").IsArray() && v.Get("data", "repository").IsObject():
		return harborCloud
	case v.String("source") == "aws.ecr" && v.Get("detail").IsObject():
		return ecr
	}
	return foreign
}

func isNotification(v jsonrecord.Value) bool {
	return v.Get("target").IsObject() && v.Get("action").Exists() && (v.Get("id").Exists() || v.Get("timestamp").Exists())
}

var (
	errForeign = errors.New("not a registry's message: neither events nor target with action, event_data with occur_at, or source aws.ecr with detail")
	errNothing = errors.New("nothing of interest")
	errSplit   = errors.New("the message cannot be cut into its notifications: a key on the way to them is written with escapes")
	errNoTime  = errors.New("no time")
)

type decoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	part   jsonrecord.Parser // of one notification among several
	refs   image.Parser
}

// Flush implements source.Decoder; nothing is held back.
func (*decoder) Flush() {}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) {
	v, err := d.parser.Parse(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	kind := dialectOf(v)
	if err := d.parser.Fault(); err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	switch kind {
	case foreign:
		d.out.Unreadable(rec, errForeign)
	case several:
		d.each(rec, v, notification, "events")
	case harbor:
		d.each(rec, v, harborMessage(v).action, "event_data", "resources")
	case harborCloud:
		d.each(rec, v, cloudMessage(v).action, "data", "resources")
	case bare:
		a, err := notification(v)
		d.deliver(rec, a, err, d.parser.Fault())
	case ecr:
		a, err := ecrAction(v)
		d.deliver(rec, a, err, d.parser.Fault())
	}
}

// each reads the elements of an array in the message as one record each. An
// element is parsed again by itself, so that a key that stands twice in it is
// its own fault only.
func (d *decoder) each(rec source.Record, v jsonrecord.Value, read func(jsonrecord.Value) (action, error), keys ...string) {
	list := v.Array(keys...)
	if err := d.parser.Fault(); err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	switch len(list) {
	case 0:
		d.out.Skip()
		return
	case 1:
		a, err := read(list[0])
		d.deliver(rec, a, err, d.parser.Fault())
		return
	}
	parts, ok := envelope.Elements(rec, keys...)
	if !ok || len(parts) != len(list) {
		d.out.Unreadable(rec, errSplit)
		return
	}
	d.out.Tally.Records += int64(len(parts) - 1)
	for _, part := range parts {
		e, err := d.part.Parse(part.Data)
		if err != nil {
			d.out.Unreadable(part, err)
			continue
		}
		a, err := read(e)
		d.deliver(part, a, err, d.part.Fault())
	}
}

// deliver accounts for one notification.
func (d *decoder) deliver(rec source.Record, a action, err, fault error) {
	body := &event.RegistryAction{Action: a.verb, MediaType: a.mediaType, By: a.by, Registry: a.registry}
	if fault != nil {
		err = fault
	}
	if err == nil {
		err = d.name(body, &a)
	}
	switch {
	case err == nil:
		d.out.Event(event.Event{Time: a.at, Body: body, Place: a.place}, []byte(a.key), rec.Span)
	case errors.Is(err, errNothing):
		d.out.Skip()
	default:
		d.out.Unreadable(rec, err)
	}
}

// name fills in which image it was. A name that is no reference is kept as
// text.
func (d *decoder) name(body *event.RegistryAction, a *action) error {
	if a.digest != "" {
		digest, err := image.ParseDigest(a.digest)
		if err != nil {
			return fmt.Errorf("digest: %w", err)
		}
		body.Digest = digest
	}
	text := a.reference
	if text == "" {
		if a.repository == "" {
			return errors.New("no repository")
		}
		text = a.host + "/" + a.repository
		switch {
		case a.tag != "":
			text += ":" + a.tag
		case a.digest != "":
			text += "@" + a.digest
		}
	}
	body.Reference = d.refs.Parse(text)
	return nil
}

// sniff knows a message by the keys at its top.
func sniff(head source.Sample) int {
	var p jsonrecord.Parser
	v, ok := envelope.First(head, &p)
	if !ok {
		return 0
	}
	switch dialectOf(v) {
	case foreign:
		return 0
	case several:
		if list := v.Array("events"); len(list) == 0 || !isNotification(list[0]) {
			return 0
		}
	}
	return 95
}
