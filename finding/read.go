package finding

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// ErrForeign is wrapped by errors about JSON that is no finding of this
// program.
var ErrForeign = errors.New("not a finding that tidewaiter wrote")

// Told is a finding as a file tells it.
type Told struct {
	Finding Finding
	// Raw gives the records that the file holds, for the finding's own
	// evidence.
	Raw Raw
	// JSON is the finding as it is written.
	JSON json.RawMessage
	// Version is the program's that wrote it, "" if it does not say.
	Version string
	// File and Line are where it begins; lines count from 1.
	File string
	Line int
}

// Reader reads findings back from what OCSF wrote: a JSON array, or objects
// one after another, each on a line or over many. Not safe for concurrent use.
type Reader struct {
	file    string
	lines   *lineCounter
	dec     *json.Decoder
	begun   bool
	array   bool
	pending error
}

// NewReader reads findings from r; file is the name to cite.
func NewReader(r io.Reader, file string) *Reader {
	lines := &lineCounter{r: bufio.NewReader(r)}
	return &Reader{file: file, lines: lines, dec: json.NewDecoder(lines)}
}

// Next gives the next finding, io.EOF at the end. Every other error says file
// and line. One that wraps ErrForeign is about one object only, and reading
// goes on behind it; after any other the rest cannot be read.
func (r *Reader) Next() (Told, error) {
	if r.pending != nil {
		return Told{}, r.pending
	}
	if err := r.begin(); err != nil {
		return Told{}, r.end(err)
	}
	if r.array && !r.dec.More() {
		if _, err := r.dec.Token(); err != nil {
			return Told{}, r.end(unfinished(err))
		}
		return Told{}, r.end(r.trailing())
	}
	var raw json.RawMessage
	if err := r.dec.Decode(&raw); err != nil {
		if r.array {
			err = unfinished(err)
		}
		return Told{}, r.end(err)
	}
	end := r.dec.InputOffset()
	line := r.lines.at(end) - bytes.Count(raw, []byte{'\n'})
	told, err := restore(raw)
	told.File, told.Line, told.JSON = r.file, line, raw
	if err != nil {
		return told, fmt.Errorf("%s:%d: %w", r.file, line, err)
	}
	return told, nil
}

// begin tells an array from objects.
func (r *Reader) begin() error {
	if r.begun {
		return nil
	}
	r.begun = true
	first, err := r.lines.peek()
	if err != nil || first != '[' {
		return err
	}
	r.array = true
	_, err = r.dec.Token()
	return err
}

// trailing is io.EOF if nothing follows the array.
func (r *Reader) trailing() error {
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the array of findings")
	}
	return io.EOF
}

func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// end remembers why nothing more can be read.
func (r *Reader) end(err error) error {
	r.pending = io.EOF
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	offset := r.dec.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends within a finding")
		offset = r.lines.read
	}
	return fmt.Errorf("%s:%d: no JSON: %w", r.file, r.lines.at(offset), err)
}

// lineCounter turns offsets into lines while a stream is read. It keeps the
// line ends that lie between the last offset asked for and what was read.
type lineCounter struct {
	r    *bufio.Reader
	read int64
	// passed is the number of line ends before the first of ends.
	passed int
	ends   []int64
}

// peek skips blanks and gives the first other byte, which stays unread.
func (l *lineCounter) peek() (byte, error) {
	for {
		b, err := l.r.Peek(1)
		if err != nil {
			return 0, err
		}
		if !bytes.Contains([]byte(" \t\r\n"), b) {
			return b[0], nil
		}
		if b[0] == '\n' {
			// Offsets count what the decoder is given.
			l.passed++
		}
		if _, err := l.r.Discard(1); err != nil {
			return 0, err
		}
	}
}

// Read implements io.Reader.
func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at is the line of an offset; offsets must not fall.
func (l *lineCounter) at(offset int64) int {
	n, _ := slices.BinarySearch(l.ends, offset)
	l.passed += n
	l.ends = slices.Delete(l.ends, 0, n)
	return l.passed + 1
}

// restore makes the finding of its JSON.
func restore(raw json.RawMessage) (Told, error) {
	var o OCSF
	if err := json.Unmarshal(raw, &o); err != nil {
		return Told{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if o.ClassUID != 2004 || o.Metadata.Product.Name != product {
		return Told{}, fmt.Errorf("%w: class_uid %d, metadata.product.name %q", ErrForeign, o.ClassUID, o.Metadata.Product.Name)
	}
	f, records, err := o.Finding()
	if err != nil {
		return Told{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return Told{Finding: f, Raw: records, Version: o.Metadata.Product.Version}, nil
}

// Finding is the finding that was written, with the raw records that were
// written beside it. Not restored, because it is not written, are: FinalAt;
// what each record says beyond its words (every Body is an empty event.Plain),
// the offsets of its lines and its resolution below the digits of its time;
// of subjects the tenant, region and network, labels, risks, and who asked for
// what below the first; the case of an owner's kind. It fails on values that
// OCSF cannot have written.
func (o OCSF) Finding() (Finding, Raw, error) {
	u := o.Unmapped
	f := Finding{
		ID: o.FindingInfo.UID, Family: u.Family, State: u.State, SupersededBy: u.SupersededBy,
		Severity: analytic.Severity(o.SeverityID), Score: u.Score, Confidence: u.Confidence, Scope: u.Scope,
		Title: o.FindingInfo.Title, Owner: u.Owner, Cause: u.Cause, Chain: u.Chain, Omitted: u.Omitted,
		Notes: u.Notes, Clear: u.ToSettle,
	}
	if f.ID == "" {
		return f, nil, errors.New("finding_info.uid is missing")
	}
	if f.Severity < analytic.None || f.Severity > analytic.Critical {
		return f, nil, fmt.Errorf("severity_id %d: want 0 to 5", o.SeverityID)
	}
	f.Analytics = o.analytics()
	for _, l := range u.Legs {
		f.Legs = append(f.Legs, Leg{Name: l.Leg, State: l.State, Missing: l.Missing, What: l.What})
	}
	for _, s := range u.Signals {
		f.Signals = append(f.Signals, Signal{Name: s.Signal, Group: s.Group, Points: s.Points, Says: s.Says, Learning: s.Learning})
	}
	if err := o.subjects(&f); err != nil {
		return f, nil, err
	}
	records := written{}
	for i, e := range o.Evidences {
		ev, err := e.restore(f.Subjects)
		if err != nil {
			return f, nil, fmt.Errorf("evidences[%d]: %w", i, err)
		}
		f.Evidence = append(f.Evidence, ev)
		records[citation(ev.Event.Origin)] = record{e.Data.Record, e.Data.RecordError}
	}
	f.First, f.Last = bounds(f.Evidence)
	return f, records, nil
}

func (o OCSF) analytics() []analytic.Raised {
	var out []analytic.Raised
	for i, a := range append([]ocsfAnalytic{o.FindingInfo.Analytic}, o.FindingInfo.RelatedAnalytics...) {
		if i == 0 && a.UID == "" {
			continue // none was raised
		}
		r := analytic.Raised{ID: a.UID, Strategy: a.Category, Name: a.Name}
		for _, u := range o.Unmapped.Analytics {
			if u.Analytic == a.UID {
				r.Techniques = u.Techniques
			}
		}
		out = append(out, r)
	}
	return out
}

// subjects restores what is affected. Of a pod the first entity is the subject
// and those that follow are its other containers.
func (o OCSF) subjects(f *Finding) error {
	for i, e := range o.Unmapped.Entities {
		if e.Kind == "launched-with" {
			for at := range f.Subjects {
				if s := &f.Subjects[at]; s.Instance != nil {
					s.Instance.With = append(s.Instance.With, e.InstanceID)
				}
			}
			continue
		}
		c, err := o.container(e)
		if err != nil {
			return fmt.Errorf("unmapped.entities[%d]: %w", i, err)
		}
		at := slices.IndexFunc(f.Subjects, func(s Subject) bool {
			return e.Kind == "pod" && s.Pod != nil && s.ID.Place.Cluster == e.Cluster && s.Pod.Namespace == e.Namespace && s.Pod.Name == e.Pod && s.Pod.UID == e.PodUID
		})
		if at >= 0 && c != nil {
			f.Subjects[at].Containers = append(f.Subjects[at].Containers, *c)
			continue
		}
		s := Subject{ID: evidence.SubjectID{Kind: e.Kind, Place: event.Place{Account: e.Account, Cluster: e.Cluster, Host: e.Host}}, Container: c}
		switch {
		case c != nil:
			s.ID.ID = c.ID
			s.Containers = []evidence.Container{*c}
		default:
			s.ID.ID = o.resource(e.Kind, "").UID
		}
		if e.Kind == "pod" {
			s.Pod = e.pod()
		}
		e.cloud(&s)
		if c == nil && e.Image != "" {
			of, err := e.image()
			if err != nil {
				return fmt.Errorf("unmapped.entities[%d]: %w", i, err)
			}
			s.Image = &of
		}
		f.Subjects = append(f.Subjects, s)
	}
	return nil
}

// pod is what an entity says of its pod.
func (e Entity) pod() *evidence.Pod {
	p := &evidence.Pod{Namespace: e.Namespace, Name: e.Pod, UID: e.PodUID, Cluster: e.Cluster, Node: e.Host}
	p.Owner.Namespace = e.Namespace
	p.Owner.Kind, p.Owner.Name, _ = strings.Cut(e.Workload, "/")
	if p.Owner.Kind == "pod" {
		p.Owner.Kind = "Pod" // it stands alone
	}
	if e.Principal != "" {
		p.Creators = []evidence.Creator{{Object: p.Owner, By: event.Principal{Name: e.Principal}}}
	}
	return p
}

// container is the container that an entity names, nil for none.
func (o OCSF) container(e Entity) (*evidence.Container, error) {
	of := o.resource("container", e.ContainerID)
	if of.Type == "" && e.ContainerID == "" && e.ContainerName == "" && (e.Image == "" || o.resource(e.Kind, "").Type != "") {
		return nil, nil
	}
	c := &evidence.Container{ID: e.ContainerID, Name: e.ContainerName, Kind: event.ContainerKind(e.ContainerKind), Cluster: e.Cluster}
	c.Namespace = of.Namespace
	if slices.ContainsFunc(o.Resources, func(r ocsfResource) bool { return r.Type == "pod" && r.Name == e.Pod }) {
		c.Pod = e.Pod
	}
	c.Host = o.resource("host", e.Host).UID
	var err error
	c.Image, err = e.image()
	return c, err
}

// image is what an entity says of its image.
func (e Entity) image() (of evidence.Image, err error) {
	of.Reference, of.Origin = image.Parse(e.ImageAsTyped), evidence.ImageOrigin(e.ImageOrigin)
	if e.ImageDigest != "" {
		if of.Canonical, err = image.ParseDigest(e.ImageDigest); err != nil {
			return of, fmt.Errorf("image_digest: %w", err)
		}
	}
	for _, s := range e.ImageDigests {
		d, err := image.ParseDigest(s)
		if err != nil {
			return of, fmt.Errorf("image_digests: %w", err)
		}
		of.Digests = append(of.Digests, d)
	}
	return of, nil
}

// resource finds a resource by type and uid, "" for any; the zero one if there
// is none.
func (o OCSF) resource(kind, uid string) ocsfResource {
	for _, r := range o.Resources {
		if r.Type == kind && (uid == "" || r.UID == uid) {
			return r
		}
	}
	return ocsfResource{}
}

// restore makes the evidence that cites a record.
func (o ocsfEvidence) restore(subjects []Subject) (Evidence, error) {
	d := o.Data
	e := &event.Event{
		Place:  event.Place{Host: d.Host, Cluster: d.Cluster},
		Origin: event.Origin{Source: event.Source(d.Source), Format: d.Format, File: d.File},
		Body:   &event.Plain{},
	}
	if n, err := hex.Decode(e.ID[:], []byte(o.UID)); err != nil || n != len(e.ID) || len(o.UID) != 2*len(e.ID) {
		return Evidence{}, fmt.Errorf("uid %q: want %d hex digits", o.UID, 2*len(e.ID))
	}
	for _, line := range d.Lines {
		e.Origin.Spans = append(e.Origin.Spans, event.Span{Line: line})
	}
	if d.Time != (event.Time{}).String() {
		at, err := event.ParseRFC3339(d.Time)
		if err != nil {
			return Evidence{}, fmt.Errorf("data.time: %w", err)
		}
		e.Time = at
	}
	out := Evidence{Event: e, Kind: evidence.Kind(d.Kind), Leg: d.Leg, Signals: d.Signals, Says: d.Says}
	out.Subject, out.Container = o.whose(subjects)
	return out, nil
}

// whose finds the container that a record is of.
func (o ocsfEvidence) whose(subjects []Subject) (subject, container int) {
	if o.Container == nil {
		return 0, evidence.Whole
	}
	for i, s := range subjects {
		for j, c := range s.Containers {
			if c.ID == o.Container.UID && c.Name == o.Container.Name {
				return i, j
			}
		}
	}
	return 0, evidence.Whole
}

// record is a raw record as a file tells it, or why it has none.
type record struct{ text, fault string }

// written gives the records that were written beside a finding, by citation.
type written map[string]record

// Read implements Raw.
func (w written) Read(o event.Origin) (string, error) {
	r, known := w[citation(o)]
	switch {
	case !known:
		return "", fmt.Errorf("%s:%d is not in the findings file", o.File, o.Line())
	case r.fault != "":
		return r.text, errors.New(r.fault)
	}
	return r.text, nil
}

func citation(o event.Origin) string {
	s := o.File
	for _, span := range o.Spans {
		s += "\x00" + strconv.Itoa(span.Line)
	}
	return s
}
