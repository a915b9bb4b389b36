package event

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// ErrCodec is wrapped by the errors of Decode.
var ErrCodec = errors.New("not an encoded event")

// envelope is an event as stored: its body beside the name of its kind.
// Numbers are stable: state on disk is read by later versions.
type envelope struct {
	ID       ID              `cbor:"1,keyasint"`
	Time     Time            `cbor:"2,keyasint"`
	Record   int64           `cbor:"3,keyasint,omitempty"`
	Observed int64           `cbor:"4,keyasint,omitempty"`
	Place    Place           `cbor:"5,keyasint"`
	Source   Source          `cbor:"6,keyasint"`
	Format   string          `cbor:"7,keyasint"`
	File     string          `cbor:"8,keyasint"`
	Spans    []Span          `cbor:"9,keyasint,omitempty"`
	History  bool            `cbor:"10,keyasint,omitempty"`
	Kind     Kind            `cbor:"11,keyasint"`
	Body     cbor.RawMessage `cbor:"12,keyasint"`
}

// Codec encodes events and what rests on them as CBOR (RFC 8949), with the
// text forms of references, digests and addresses. It is immutable.
type Codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// NewCodec makes a Codec. It fails only if the options contradict each other.
func NewCodec() (*Codec, error) {
	enc, err := cbor.EncOptions{Sort: cbor.SortCoreDeterministic, TextMarshaler: cbor.TextMarshalerTextString}.EncMode()
	if err != nil {
		return nil, fmt.Errorf("set up encoding: %w", err)
	}
	dec, err := cbor.DecOptions{
		TextUnmarshaler: cbor.TextUnmarshalerTextString, MaxArrayElements: 1 << 27, MaxMapPairs: 1 << 27, MaxNestedLevels: 64,
		DefaultMapType: reflect.TypeFor[map[string]any](), UTF8: cbor.UTF8DecodeInvalid, IntDec: cbor.IntDecConvertSigned,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("set up decoding: %w", err)
	}
	return &Codec{enc, dec}, nil
}

// Marshal encodes any value of plain fields.
func (c *Codec) Marshal(v any) ([]byte, error) { return c.enc.Marshal(v) }

// Unmarshal decodes what Marshal gave.
func (c *Codec) Unmarshal(b []byte, v any) error { return c.dec.Unmarshal(b, v) }

// Encode encodes an event.
func (c *Codec) Encode(e *Event) ([]byte, error) {
	body, err := c.enc.Marshal(e.Body)
	if err != nil {
		return nil, fmt.Errorf("encode %s event: %w", e.Body.Kind(), err)
	}
	return c.enc.Marshal(envelope{
		e.ID, e.Time, e.Record, e.Observed, e.Place, e.Origin.Source, e.Origin.Format, e.Origin.File, e.Origin.Spans,
		e.History, e.Body.Kind(), body,
	})
}

// Decode decodes an event. It fails with ErrCodec.
func (c *Codec) Decode(b []byte) (*Event, error) {
	var v envelope
	if err := c.dec.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCodec, err)
	}
	body := newBody(v.Kind)
	if body == nil {
		return nil, fmt.Errorf("%w: unknown kind %q; it was written by a newer version", ErrCodec, v.Kind)
	}
	if err := c.dec.Unmarshal(v.Body, body); err != nil {
		return nil, fmt.Errorf("%w: %s body: %w", ErrCodec, v.Kind, err)
	}
	return &Event{
		ID: v.ID, Time: v.Time, Record: v.Record, Observed: v.Observed, Place: v.Place, History: v.History, Body: body,
		Origin: Origin{v.Source, v.Format, v.File, v.Spans},
	}, nil
}

// newBody makes an empty body of a kind, nil for an unknown one.
func newBody(k Kind) Body {
	for _, b := range Bodies() {
		if b.Kind() == k {
			return b
		}
	}
	return nil
}

// Bodies gives an empty body of every kind.
func Bodies() []Body {
	return []Body{
		&Image{}, &ImageResolved{}, &ImageDescription{},
		&Container{}, &Task{}, &ExecStarted{}, &NetworkAttachment{}, &ContainerDescription{}, &HostDescription{},
		&Sandbox{}, &Pod{}, &Workload{}, &PodStatus{}, &PodAccess{}, &Grant{}, &KubeEvent{},
		&Process{}, &FileWrite{}, &Socket{}, &Flow{}, &DNS{}, &HTTP{}, &TLS{}, &APIRequest{}, &BuildStep{}, &RegistryAction{},
		&Instance{}, &VMImage{}, &GuestScript{}, &Loss{}, &Plain{},
	}
}
