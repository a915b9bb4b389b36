package app

import (
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// told are the parts of a story that records told of.
type told map[evidence.Kind]bool

// note notes what an event tells of.
func (t *told) note(b event.Body) {
	if *t == nil {
		*t = told{}
	}
	for _, k := range parts(b) {
		(*t)[k] = true
	}
}

// unseen are the parts of a story that no record told of, in their order.
func (t told) unseen() []evidence.Kind {
	return slices.DeleteFunc([]evidence.Kind{evidence.Arrival, evidence.Creation, evidence.Start, evidence.Command, evidence.Connection},
		func(k evidence.Kind) bool { return t[k] })
}

// parts are the parts of a story that a record of this kind is about.
func parts(b event.Body) []evidence.Kind {
	switch b.(type) {
	case *event.Image, *event.ImageResolved:
		return []evidence.Kind{evidence.Arrival}
	case *event.Container:
		return []evidence.Kind{evidence.Creation, evidence.Start}
	case *event.Task:
		return []evidence.Kind{evidence.Start}
	case *event.Process, *event.ExecStarted:
		return []evidence.Kind{evidence.Command}
	case *event.Flow, *event.Socket:
		return []evidence.Kind{evidence.Connection}
	case *event.Pod, *event.Workload:
		return []evidence.Kind{evidence.Creation}
	case *event.KubeEvent:
		return []evidence.Kind{evidence.Arrival, evidence.Creation, evidence.Start}
	}
	return nil
}
