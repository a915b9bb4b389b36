package containerd

import (
	"encoding/json"
	"fmt"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/typeurl/v2"
)

// line is the line that ctr events prints for an event, and the event itself;
// nil if it has no content. Its kinds are those that package events registers.
func line(e *types.Envelope) (line []byte, told any, err error) {
	var text []byte
	if e.GetEvent() != nil {
		if told, err = typeurl.UnmarshalAny(e.GetEvent()); err != nil {
			return nil, nil, err
		}
		if text, err = json.Marshal(told); err != nil {
			return nil, nil, err
		}
	}
	// A time is printed as Go does by default.
	return fmt.Appendf(nil, "%v %s %s %s", e.GetTimestamp().AsTime(), e.GetNamespace(), e.GetTopic(), text), told, nil
}

// ask has looked up what an event does not tell.
func (w *watch) ask(e *types.Envelope, told any) {
	q := question{namespace: e.GetNamespace()}
	switch told := told.(type) {
	case *events.ImageCreate:
		q.image, q.topic = told.GetName(), e.GetTopic()
	case *events.ImageUpdate:
		q.image, q.topic = told.GetName(), e.GetTopic()
	case *events.ContainerCreate:
		q.container = told.GetID()
	default:
		return
	}
	if q.image != "" {
		q.at = e.GetTimestamp().AsTime().UnixNano()
	}
	if !w.waiting.Ask(q) {
		w.out.Lost("containerd is asked more than it answers: look-ups left out", 1)
	}
}
