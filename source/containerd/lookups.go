package containerd

import (
	"errors"
	"fmt"
	"slices"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Lookups is what a live sensor asked containerd beside its events: to which
// digest a name in the image store points, and what a container was made of.
// No tool of containerd's prints that with the namespace on one line, so the
// form is our own; docs/formats/containerd-lookups.md describes it.
//
// A look-up has no time. Only where the store's own event made the sensor look
// does the record tell which, and the name meant this digest at that moment.
func Lookups() *source.Format {
	return &source.Format{
		Name:    "containerd-lookups",
		Title:   "look-ups in containerd (of a live sensor)",
		Source:  event.Containerd,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("containerd_image") || head.HasKeys("containerd_container") {
				return 95
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder { return &lookupDecoder{out: out} },
	}
}

var (
	errNotLookup = errors.New("neither containerd_image nor containerd_container")
	errNoDigest  = errors.New("no digest")
)

type lookupDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	refs   image.Parser
}

// Decode implements source.Decoder.
func (d *lookupDecoder) Decode(rec source.Record) {
	told, err := d.read(rec.Data)
	if !d.out.Tells(rec, told.body, err) {
		return
	}
	// Two look-ups at different times are two records.
	d.out.Event(event.Event{Body: told.body}, rec.Data, rec.Span)
	if told.stored != nil {
		d.out.Beside(event.Event{Time: told.at, Body: told.stored}, append(slices.Clip(rec.Data), '|'), rec.Span)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *lookupDecoder) Flush() {}

// lookedUp is what one look-up tells.
type lookedUp struct {
	body   event.Body
	stored event.Body // what the store's event did, if one made the sensor look
	at     event.Time // when
}

func (d *lookupDecoder) read(data []byte) (told lookedUp, err error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return told, err
	}
	switch img, c := v.Get("containerd_image"), v.Get("containerd_container"); {
	case img.IsObject():
		told, err = d.image(img)
	case c.IsObject():
		told.body, err = d.container(c)
	default:
		err = errNotLookup
	}
	if err == nil {
		err = d.parser.Fault()
	}
	if err != nil {
		return lookedUp{}, err
	}
	return told, nil
}

// storeActions are the events of the image store after which a name is looked
// up.
var storeActions = map[string]event.ImageAction{"/images/create": event.ImageCreate, "/images/update": event.ImageUpdate}

// image reads what a name points to. The CRI plugin also stores images under
// their config's digest; which name that belongs to, its events tell.
func (d *lookupDecoder) image(v jsonrecord.Value) (lookedUp, error) {
	name := v.String("name")
	if name == "" {
		return lookedUp{}, errNoName
	}
	digest, err := image.ParseDigest(v.String("digest"))
	if err != nil {
		return lookedUp{}, fmt.Errorf("%w: %w", errNoDigest, err)
	}
	labels, err := jsonFields{v, &d.parser}.labels()
	if err != nil {
		return lookedUp{}, err
	}
	ref := d.refs.Parse(name)
	if ref.Form() != image.Named {
		return lookedUp{}, nil
	}
	told := lookedUp{body: d.describe(ref, digest)}
	if topic := v.String("event", "topic"); topic != "" {
		action, known := storeActions[topic]
		if !known {
			return lookedUp{}, fmt.Errorf("event %q is none of the image store's", clip(topic))
		}
		if told.at, err = event.ParseRFC3339(v.String("event", "time")); err != nil {
			return lookedUp{}, fmt.Errorf("time of the event: %w", err)
		}
		told.stored = &event.Image{
			Action: action, Reference: ref, Digest: digest, Namespace: v.String("namespace"), CRI: labels[criLabel] == "managed",
		}
	}
	return told, nil
}

// describe says which image a name means, as Docker does with containerd's
// image store: every name stands with the image's own digest, which is no proof
// that a registry knows it.
func (d *lookupDecoder) describe(ref image.Reference, digest image.Digest) *event.ImageDescription {
	desc := &event.ImageDescription{ID: digest, RepoDigests: []image.Reference{d.refs.Parse(ref.Repository() + "@" + digest.String())}}
	if ref.Digest().IsZero() {
		desc.RepoTags = []image.Reference{ref}
	}
	return desc
}

func (d *lookupDecoder) container(v jsonrecord.Value) (event.Body, error) {
	c := &event.ContainerDescription{ID: v.String("id"), Image: d.refs.Parse(v.String("image"))}
	if c.ID == "" {
		return nil, errNoID
	}
	var err error
	if c.Labels, err = (jsonFields{v, &d.parser}).labels(); err != nil {
		return nil, err
	}
	if text := v.String("image_digest"); text != "" {
		if c.ImageID, err = image.ParseDigest(text); err != nil {
			return nil, fmt.Errorf("digest of the image: %w", err)
		}
	}
	if c.CreatedAt, err = optionalTime(v.String("created_at")); err != nil {
		return nil, fmt.Errorf("time of creation: %w", err)
	}
	if c.StartedAt, err = optionalTime(v.String("started_at")); err != nil {
		return nil, fmt.Errorf("time of start: %w", err)
	}
	if c.PID, err = count(jsonFields{v, &d.parser}, "pid"); err != nil {
		return nil, err
	}
	return c, nil
}

func optionalTime(s string) (event.Time, error) {
	if s == "" {
		return event.Time{}, nil
	}
	return event.ParseRFC3339(s)
}
