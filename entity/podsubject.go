package entity

import (
	"cmp"
	"path"
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// readPod gathers a pod: its containers by what the runtimes and the API tell
// of them, who asked for it, and what was said about it.
func (b *subjectBuilder) readPod() {
	b.pod = &evidence.Pod{Namespace: b.c.pod.name.namespace, Name: b.c.pod.name.name, UID: b.c.pod.uid, Cluster: b.site.place.Cluster}
	life := b.podLife()
	b.accesses = accesses(life)
	sandboxes := map[string]bool{}
	for _, e := range life {
		if s, ok := e.Body.(*event.Sandbox); ok {
			sandboxes[s.ID] = true
		}
	}
	for _, records := range b.innerContainers() {
		if sandboxes[records[0].id] || slices.ContainsFunc(records, (*container).isSandbox) {
			sandboxes[records[0].id] = true
			for _, c := range records {
				b.actFacts(c, nil)
			}
			continue
		}
		b.addPart(records)
	}
	for _, e := range life {
		if s, ok := e.Body.(*event.PodStatus); ok {
			b.podStatus(s, sandboxes)
		}
	}
	b.owners(life)
	for _, e := range life {
		b.podEvent(e)
	}
	for _, p := range b.parts {
		p.about.Namespace, p.about.Pod = b.pod.Namespace, b.pod.Name
		p.about.Cluster = b.pod.Cluster
		b.pod.Node = cmp.Or(b.pod.Node, p.about.Host)
	}
	for _, p := range b.parts {
		p.about.Host = cmp.Or(p.about.Host, b.pod.Node)
	}
	b.sharedConnections(life)
}

// podLife are the events about the pod, in order, with those told by its name
// alone that mean it.
func (b *subjectBuilder) podLife() []*event.Event {
	var out []*event.Event
	for l := range b.c.life.all() {
		out = append(out, l.event)
	}
	names := b.site.podNames(b.c.pod.name)
	if b.c.pod.uid == "" || names.unnamed == nil {
		return out
	}
	for l := range names.unnamed.life.all() {
		if b.site.podAt(b.c.pod.name, l.event.Time) == b.c {
			out = append(out, l.event)
		}
	}
	slices.SortFunc(out, compareEvents)
	return out
}

// innerContainers lists the records of each of the pod's containers, the oldest
// first. A sensor that does not name its node can tell of one beside the node's
// own records.
func (b *subjectBuilder) innerContainers() [][]*container {
	byID := map[string][]*container{}
	for c := range b.c.pod.inner {
		if c.canonical() == c {
			byID[c.id] = append(byID[c.id], c.members()...)
		}
	}
	begin := func(records []*container) int64 {
		first := always.to
		for _, c := range records {
			first = min(first, c.begin())
		}
		return first
	}
	var out [][]*container
	for _, records := range byID {
		slices.SortFunc(records, func(x, y *container) int {
			// The node's first: it knows the image.
			return cmp.Or(cmp.Compare(y.site.place.Host, x.site.place.Host), cmp.Compare(x.site.place.String(), y.site.place.String()), cmp.Compare(len(y.id), len(x.id)), cmp.Compare(x.id, y.id))
		})
		out = append(out, records)
	}
	slices.SortFunc(out, func(x, y []*container) int {
		return cmp.Or(cmp.Compare(begin(x), begin(y)), cmp.Compare(x[0].id, y[0].id))
	})
	return out
}

// isPause reports that a repository is called like the image that sandboxes are of,
// where nothing better tells one.
func isPause(repository string) bool { return path.Base(repository) == "pause" }

// isSandbox reports that a container is a pod's sandbox, by its labels or
// because others lie in it.
func (c *container) isSandbox() bool {
	if known := c.site.cluster.pods.claims[c.id]; known != nil && len(known.lying) > 0 {
		return true // others lie in it
	}
	for l := range c.life.all() {
		if b, ok := l.event.Body.(*event.Container); ok && isSandbox(b.Labels) {
			return true
		}
	}
	return false
}

// podStatus takes what the kubelet reports: names and images of the
// containers. Its log tells of sandboxes, too, and no names.
func (b *subjectBuilder) podStatus(s *event.PodStatus, sandboxes map[string]bool) {
	b.pod.Node = cmp.Or(b.pod.Node, s.Node)
	for _, c := range s.Containers {
		p := b.partWithID(c.ID)
		if p == nil && (c.ID == "" || c.Name == "" || sandboxes[c.ID]) {
			continue
		}
		if p == nil {
			p = &part{index: len(b.parts), about: evidence.Container{ID: c.ID}}
			b.parts = append(b.parts, p)
		}
		p.about.Name, p.about.Kind = cmp.Or(p.about.Name, c.Name), cmp.Or(p.about.Kind, c.Kind)
		if p.about.Image.Reference.IsZero() {
			p.about.Image.Reference = c.Image
		}
		p.tellDigest(c.ImageID)
		if len(p.members) == 0 { // else its node's clock has told
			p.madeAt(c.StartedAt)
		}
	}
}

func (b *subjectBuilder) partWithID(id string) *part {
	for _, p := range b.parts {
		if id != "" && p.about.ID == id {
			return p
		}
	}
	return nil
}

// partNamed is the container with a name that was made closest to a time; nil
// if there is none.
func (b *subjectBuilder) partNamed(name string, at event.Time) *part {
	var best *part
	var distance int64
	for _, p := range b.parts {
		if name == "" || p.about.Name != name {
			continue
		}
		d := at.At - p.made.At
		if d < 0 {
			d = -d
		}
		if best == nil || d < distance {
			best, distance = p, d
		}
	}
	return best
}

// spec takes what was asked for, as far as nothing more certain is known.
func (b *subjectBuilder) spec(spec *event.PodSpec, at event.Time) {
	if spec == nil {
		return
	}
	b.pod.Node = cmp.Or(b.pod.Node, spec.Node)
	for _, c := range spec.Containers {
		if p := b.unnamedPart(c.Image); p != nil && b.partNamed(c.Name, at) == nil {
			p.about.Name = c.Name
		}
		if b.partNamed(c.Name, at) == nil {
			p := &part{index: len(b.parts), about: evidence.Container{Name: c.Name}}
			p.madeAt(at)
			b.parts = append(b.parts, p)
		}
		for _, p := range b.parts {
			if p.about.Name != c.Name {
				continue
			}
			p.about.Kind = cmp.Or(p.about.Kind, c.Kind)
			p.about.PullPolicy = cmp.Or(p.about.PullPolicy, c.PullPolicy)
			if !c.Image.IsZero() {
				p.about.Image.Reference = c.Image // as it was typed
			}
			if p.about.Command == nil {
				p.about.Command = slices.Concat(c.Command, c.Args)
			}
			p.about.Risk = mergeRisk(p.about.Risk, c.Risk)
			p.health = append(p.health, c.Probes...)
		}
	}
}

// unnamedPart is the only container of an image of which no name is told.
func (b *subjectBuilder) unnamedPart(of image.Reference) *part {
	var found *part
	for _, p := range b.parts {
		if p.about.Name == "" && of.Key() != "" && p.about.Image.Reference.Key() == of.Key() {
			if found != nil {
				return nil
			}
			found = p
		}
	}
	return found
}

// owners works out who asked for the pod, and for what made it.
func (b *subjectBuilder) owners(life []*event.Event) {
	self := event.ObjectRef{Kind: "Pod", Namespace: b.pod.Namespace, Name: b.pod.Name, UID: b.pod.UID}
	b.pod.Owner = self
	var created *event.Event
	var owner event.ObjectRef
	for _, e := range life {
		if p, ok := e.Body.(*event.Pod); ok && p.Code < 400 {
			owner = cmp.Or(owner, p.Owner)
			if created == nil && p.Verb == event.VerbCreate {
				created = e
			}
		}
		if s, ok := e.Body.(*event.PodStatus); ok {
			owner = cmp.Or(owner, s.Owner)
		}
	}
	if owner.IsZero() {
		owner = b.toldOwner()
	}
	owner.Namespace = self.Namespace
	chain := b.site.owners.chain(owner, always.to)
	keys := make([]ownerKey, len(chain))
	for i, o := range slices.Backward(chain) {
		keys[i] = keyOf(o)
		b.workload(o, created)
	}
	if len(chain) > 0 {
		b.pod.Owner = chain[len(chain)-1]
	}
	if created != nil {
		b.pod.Creators = append(b.pod.Creators, evidence.Creator{Object: self, By: created.Body.(*event.Pod).By})
	}
	b.site.owners.watch(b.c, append(keys, b.grants()...))
}

// toldOwner is the owner that sensors tell, if no record of the API does.
func (b *subjectBuilder) toldOwner() event.ObjectRef {
	for a := range b.c.acts.all() {
		if w := a.toldPod.Value().Workload; w.Name != "" {
			return w
		}
	}
	return event.ObjectRef{}
}

// workload adds who made an owner of the pod, and who changed it last before
// the pod was created.
func (b *subjectBuilder) workload(o event.ObjectRef, created *event.Event) {
	known := b.site.owners.objects[keyOf(o)]
	if known == nil {
		return
	}
	upTo := always.to
	if created != nil {
		upTo = created.Time.End() + exact
	}
	for l := range known.back(upTo) {
		w := l.event.Body.(*event.Workload)
		if w.Code >= 400 || w.Verb == event.VerbDelete || w.Template == nil && w.Verb == event.VerbUpdate {
			continue
		}
		b.add(evidence.Creation, evidence.Whole, l.event)
		b.pod.Creators = append(b.pod.Creators, evidence.Creator{Object: o, By: w.By})
		b.spec(w.Template, l.event.Time)
		return
	}
}

// podEvent reads one event about the pod.
func (b *subjectBuilder) podEvent(e *event.Event) {
	switch body := e.Body.(type) {
	case *event.Pod:
		b.podChange(e, body)
	case *event.PodStatus:
		b.spec(body.Spec, e.Time)
	case *event.PodAccess:
		b.add(evidence.Access, b.indexOf(body.Container, e.Time), e)
	case *event.KubeEvent:
		b.kubeEvent(e, body)
	}
}

func (b *subjectBuilder) podChange(e *event.Event, p *event.Pod) {
	switch {
	case p.Code >= 400:
	case p.Verb == event.VerbCreate:
		b.spec(p.Spec, e.Time)
		b.add(evidence.Creation, evidence.Whole, e)
	case p.Verb == event.VerbUpdate && p.Spec != nil:
		b.spec(p.Spec, e.Time)
		for _, c := range p.Spec.Containers {
			b.add(evidence.Creation, b.indexOf(c.Name, e.Time), e)
			b.addedBy(c, e.Time, p.By)
			break
		}
	case p.Verb == event.VerbDelete:
		b.add(evidence.Exit, evidence.Whole, e)
	}
}

// addedBy notes who put a container into the running pod.
func (b *subjectBuilder) addedBy(c event.ContainerSpec, at event.Time, by event.Principal) {
	if p := b.partNamed(c.Name, at); p != nil && c.Kind == event.EphemeralContainer && p.about.AddedBy.Name == "" {
		p.about.AddedBy = by
	}
}

// kubeKinds are the events about a container that tell a part of its story.
var kubeKinds = map[string]evidence.Kind{
	"Scheduled": evidence.Creation, "Pulling": evidence.Arrival, "Pulled": evidence.Arrival,
	"Created": evidence.Creation, "Started": evidence.Start, "Killing": evidence.Exit,
}

func (b *subjectBuilder) kubeEvent(e *event.Event, k *event.KubeEvent) {
	b.pod.Node = cmp.Or(b.pod.Node, k.Node)
	b.nameByEvent(e, k)
	kind, tells := kubeKinds[k.Reason]
	if !tells {
		return
	}
	if k.Present {
		kind = evidence.Creation // nothing came
	} else if p := b.partNamed(k.Container, e.Time); p != nil && k.Reason == "Pulled" && p.pulled.Compare(e.Time) < 0 {
		p.pulled = e.Time
	}
	b.add(kind, b.indexOf(k.Container, e.Time), e)
}

// nameByEvent takes the name and the image of the only container of which no
// record tells a name.
func (b *subjectBuilder) nameByEvent(e *event.Event, k *event.KubeEvent) {
	if k.Container == "" {
		return
	}
	p := b.partNamed(k.Container, e.Time)
	if p == nil && len(b.parts) == 1 && b.parts[0].about.Name == "" {
		p = b.parts[0]
		p.about.Name, p.about.Kind = k.Container, cmp.Or(p.about.Kind, k.ContainerKind)
	}
	if p != nil && p.about.Image.Reference.IsZero() {
		p.about.Image.Reference = k.Image
	}
}

func (b *subjectBuilder) indexOf(name string, at event.Time) int {
	if p := b.partNamed(name, at); p != nil {
		return p.index
	}
	if len(b.parts) == 1 && name == "" {
		return 0
	}
	return evidence.Whole
}
