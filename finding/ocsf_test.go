package finding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

const schemaFile = "testdata/ocsf-detection-finding.schema.json"

// ocsfSchema compiles the schema that findings must keep to.
func ocsfSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat() // or an address that is none would pass
	if err := c.AddResource(schemaFile, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// encoded is a finding as it is written: as one line, without HTML escapes.
func encoded(t *testing.T, f Finding, raw Raw) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(f.OCSF(raw, "1.2.3")); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decoded reads JSON as a receiver does.
func decoded(t *testing.T, b []byte) map[string]any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v\n%.2000s", err, b)
	}
	return doc.(map[string]any)
}

// bodies are the events that a finding can cite, one of each shape.
func bodies() map[string]evidence.Fact {
	conn := &evidence.ConnectionFact{Remote: addrPort("203.0.113.9:3333"), Domains: []string{"pool.example"}}
	out := map[string]evidence.Fact{
		"image":             {Kind: evidence.Arrival, Event: &event.Event{Body: &event.Image{Action: event.ImagePull, Reference: image.Parse("registry.example/shop/web:1.4"), Digest: digest(digestA)}}},
		"container create":  {Kind: evidence.Creation, Event: &event.Event{Body: &event.Container{Action: event.ContainerCreate, ID: containerID, Name: "web"}}},
		"container exit":    {Kind: evidence.Exit, Event: &event.Event{Body: &event.Container{Action: event.ContainerExit, ID: containerID, ExitCode: 137}}},
		"task":              {Kind: evidence.Start, Event: &event.Event{Body: &event.Task{Action: event.TaskStart, Container: containerID, PID: 4021}}},
		"runtime helper":    {Kind: evidence.Creation, Event: &event.Event{Body: &event.Process{PID: 1, Exe: "/usr/bin/runc", Args: []string{"runc", "create", containerID}}}},
		"exec":              {Kind: evidence.Command, Event: &event.Event{Body: &event.ExecStarted{Container: containerID, Command: "sh -c id"}}, Command: &evidence.CommandFact{}},
		"process":           {Kind: evidence.Command, Event: &event.Event{Body: &event.Process{PID: 4021, PPID: 3999, Exe: "/tmp/.x/XMRig.exe", Args: []string{"./XMRig.exe", "-o", "pool.example:3333"}}}, Command: &evidence.CommandFact{}},
		"process, bare":     {Kind: evidence.Command, Event: &event.Event{Body: &event.Process{PID: 4021}}, Command: &evidence.CommandFact{}},
		"file write":        {Kind: evidence.Write, Event: &event.Event{Body: &event.FileWrite{PID: 4021, Exe: "/usr/bin/curl", Path: "/tmp/.x/XMRig.exe"}}},
		"flow":              {Kind: evidence.Connection, Event: &event.Event{Body: &event.Flow{Protocol: "tcp", Src: addrPort("10.1.2.3:40000"), Dst: addrPort("203.0.113.9:3333"), BytesOut: -1, BytesIn: -1}}, Connection: conn},
		"flow over IPv6":    {Kind: evidence.Connection, Event: &event.Event{Body: &event.Flow{Protocol: "udp", Src: addrPort("[fe80::1111:2222:3333:4444%enp0s31f6.4094]:40000"), Dst: addrPort("[::ffff:203.0.113.9]:3333")}}, Connection: conn},
		"flow without src":  {Kind: evidence.Connection, Event: &event.Event{Body: &event.Flow{Protocol: "icmp", Dst: addrPort("203.0.113.9:0")}}, Connection: conn},
		"socket":            {Kind: evidence.Connection, Event: &event.Event{Body: &event.Socket{PID: 4021, Addr: addrPort("203.0.113.9:3333")}}, Connection: conn},
		"unix socket":       {Kind: evidence.Connection, Event: &event.Event{Body: &event.Socket{PID: 4021, Path: "/run/docker.sock"}}, Connection: &evidence.ConnectionFact{}},
		"dns":               {Kind: evidence.Lookup, Event: &event.Event{Body: &event.DNS{Query: "pool.example", Type: "A", Code: "NXDOMAIN"}}},
		"dns of the root":   {Kind: evidence.Lookup, Event: &event.Event{Body: &event.DNS{}}},
		"plain JSON":        {Kind: evidence.Plain, Event: &event.Event{Body: &event.Plain{Fields: map[string]any{"a": "b"}}}},
		"nothing but bytes": {Kind: evidence.Start, Event: &event.Event{Body: &event.Task{}}},
	}
	for i, name := range slices.Sorted(maps.Keys(out)) {
		if name != "nothing but bytes" { // that one has no time, no place, no origin
			f := out[name]
			f.Event = happened(at(float64(i)), f.Event.Body)
			out[name] = f
		}
	}
	return out
}

// shapes are findings of every form, by name.
func shapes() map[string]Finding {
	of := func(change func(*analytic.Assessment)) Finding {
		return composed(assessed(subject(containerID), change))
	}
	var every []evidence.Fact
	out := map[string]Finding{
		"container with a digest": of(func(*analytic.Assessment) {}),
		"container with a name only": of(func(a *analytic.Assessment) {
			a.Container.Image.Canonical, a.Container.Image.Digests = image.Digest{}, nil
		}),
		"container with a name that is none": of(func(a *analytic.Assessment) {
			a.Container.Image = evidence.Image{Reference: image.Parse("no <name> at all")}
		}),
		"container with a digest only": of(func(a *analytic.Assessment) { a.Container.Image.Reference = image.Reference{} }),
		"container without an image":   of(func(a *analytic.Assessment) { a.Container.Image = evidence.Image{} }),
		"container of which only the id is known": of(func(a *analytic.Assessment) {
			a.Container, a.Cause = &evidence.Container{ID: containerID}, ""
		}),
		"pod without a namespace": of(func(a *analytic.Assessment) { a.Container.Namespace = "" }),
		"plain subject": composed(assessed(evidence.SubjectID{Kind: "event", ID: "alice 10.0.0.1"}, func(a *analytic.Assessment) {
			a.Container, a.Cause, a.ChainSays, a.Scope, a.Legs, a.Hits, a.FinalAt = nil, "", "", "", nil, nil, 0
		})),
		"no evidence":  of(func(a *analytic.Assessment) { a.Evidence = nil }),
		"no technique": of(func(a *analytic.Assessment) { a.Analytics = []analytic.Raised{{ID: "AN1"}} }),
		"beyond the scale": of(func(a *analytic.Assessment) {
			a.Score, a.Confidence, a.Omitted, a.NoPolicy, a.Faults = 1234.5, 1, 9, true, []string{"fault"}
		}),
		"below the scale": of(func(a *analytic.Assessment) { a.Score, a.Confidence = -50, 0 }),
	}
	facts := bodies()
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		out["evidence: "+name] = of(evidenceOf(cited("", facts[name])...))
		every = append(every, facts[name])
	}
	out["evidence: everything"] = of(evidenceOf(cited("command", every...)...))
	worse, better := pair()
	out["two containers"] = composed(worse, better)
	return out
}

// TestEveryFindingIsADetectionFinding: whatever the story, whatever the state,
// what is written keeps to the schema.
func TestEveryFindingIsADetectionFinding(t *testing.T) {
	schema := ocsfSchema(t)
	for name, f := range shapes() {
		t.Run(name, func(t *testing.T) {
			for _, state := range []State{Provisional, Confirmed, Withdrawn, Superseded} {
				for s := analytic.None; s <= analytic.Critical; s++ {
					f.State, f.Severity, f.SupersededBy = state, s, ""
					if state == Superseded {
						f.SupersededBy = "tw-feedfeedfeedfeedfeedfeed"
					}
					for _, raw := range []Raw{text("type=SYSCALL msg=audit(1:2): \nline two"), gone{}} {
						b := encoded(t, f, raw)
						if err := schema.Validate(decoded(t, b)); err != nil {
							t.Fatalf("%s, %s: %v\n%s", state, s, err, b)
						}
					}
				}
			}
		})
	}
}

// TestBookGivesDetectionFindings takes findings of each state as they leave
// the book.
func TestBookGivesDetectionFindings(t *testing.T) {
	schema := ocsfSchema(t)
	web, db := subject("web"), subject("db")
	b := NewBook()
	b.Put(web, found(assessed(web)))
	b.Put(web, found(assessed(web, cause(digestB)), assessed(web, family("AN9"), func(a *analytic.Assessment) { a.FinalAt = 0 })))
	b.Put(db, found(assessed(db)))
	b.Put(db, nil)
	states := map[string]int{}
	for _, f := range append(b.Findings(noon), b.Ended()...) {
		doc := decoded(t, encoded(t, f, text("")))
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", f.State, err)
		}
		states[doc["unmapped"].(map[string]any)["state"].(string)]++
	}
	want := map[string]int{"provisional": 1, "confirmed": 1, "superseded": 1, "withdrawn": 1}
	if !reflect.DeepEqual(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

// TestWhatStateAndSeverityMean: the numbers that receivers filter by.
func TestWhatStateAndSeverityMean(t *testing.T) {
	for _, c := range []struct {
		state    State
		severity analytic.Severity
		want     string
	}{
		{Provisional, analytic.Critical, "200401 Detection Finding: Create, 1 New, 5 Critical, alert true"},
		{Confirmed, analytic.High, "200401 Detection Finding: Create, 1 New, 4 High, alert true"},
		{Confirmed, analytic.Medium, "200401 Detection Finding: Create, 1 New, 3 Medium, alert true"},
		{Confirmed, analytic.Low, "200401 Detection Finding: Create, 1 New, 2 Low, alert true"},
		{Confirmed, analytic.Info, "200401 Detection Finding: Create, 1 New, 1 Informational, alert false"},
		{Withdrawn, analytic.Critical, "200403 Detection Finding: Close, 6 Deleted, 5 Critical, alert false"},
		{Superseded, analytic.Critical, "200403 Detection Finding: Close, 5 Archived, 5 Critical, alert false"},
	} {
		f := composed(assessed(subject("web"), severity(c.severity)))
		f.State = c.state
		o := f.OCSF(text(""), "")
		got := fmt.Sprintf("%d %s, %d %s, %d %s, alert %v", o.TypeUID, o.TypeName, o.StatusID, o.Status, o.SeverityID, o.Severity, o.IsAlert)
		if got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.state, c.severity, got, c.want)
		}
	}
}

func TestScoresAreWholeNumbersInRange(t *testing.T) {
	for _, c := range []struct {
		score, confidence float64
		want              string
	}{
		{45.5, 0.6, "risk 45, 60 Medium 2"},
		{-3, 0, "risk 0, 0 Low 1"},
		{250, 1, "risk 100, 100 High 3"},
		{0.4, 0.499, "risk 0, 50 Low 1"},
		{57.6, 0.5, "risk 57, 50 Medium 2"},
		{58 - 1e-12, 0.5, "risk 58, 50 Medium 2"},
		{99.5, 0.5, "risk 99, 50 Medium 2"},
		{1, 0.75, "risk 1, 75 High 3"},
	} {
		f := composed(assessed(subject("web"), score(c.score), func(a *analytic.Assessment) { a.Confidence = c.confidence }))
		o := f.OCSF(text(""), "")
		if got := fmt.Sprintf("risk %d, %d %s %d", o.RiskScore, o.ConfidenceScore, o.Confidence, o.ConfidenceID); got != c.want {
			t.Errorf("%v, %v: %s, want %s", c.score, c.confidence, got, c.want)
		}
		if o.Unmapped.Score != c.score {
			t.Errorf("the score itself is written as %v, want %v", o.Unmapped.Score, c.score)
		}
	}
}

func TestTimesAreMilliseconds(t *testing.T) {
	f := composed(assessed(subject("web"), evidenceOf(cited("", command(1.0019, "/bin/sh"), command(2.5, "/bin/sh"))...)))
	o := f.OCSF(text(""), "")
	const first, last = 1795262401001, 1795262402500
	if o.StartTime != first || o.EndTime != last || o.Time != last || o.FindingInfo.FirstSeenTime != first || o.FindingInfo.LastSeenTime != last {
		t.Errorf("start %d, end %d, time %d, seen %d to %d; want %d to %d", o.StartTime, o.EndTime, o.Time,
			o.FindingInfo.FirstSeenTime, o.FindingInfo.LastSeenTime, first, last)
	}
	if got, want := o.Evidences[0].Data.Time, "2026-11-21T12:00:01.001900000Z"; got != want {
		t.Errorf("the record's own time is %s, want %s: as exact as the source", got, want)
	}
}

// TestEventUIDFollowsTheFinding: finding_info.uid stays, metadata.uid names
// one telling.
func TestEventUIDFollowsTheFinding(t *testing.T) {
	base := composed(assessed(subject("web")))
	seen := map[string]string{}
	for _, c := range []struct {
		why    string
		change func(*Finding)
	}{
		{"as it is", func(*Finding) {}},
		{"withdrawn", func(f *Finding) { f.State = Withdrawn }},
		{"superseded", func(f *Finding) { f.State, f.SupersededBy = Superseded, "tw-1" }},
		{"superseded by another", func(f *Finding) { f.State, f.SupersededBy = Superseded, "tw-2" }},
		{"worse", func(f *Finding) { f.Severity++ }},
		{"another score", func(f *Finding) { f.Score++ }},
		{"less evidence", func(f *Finding) { f.Evidence = nil }},
		{"another finding", func(f *Finding) { f.ID = "tw-1" }},
	} {
		f := base
		c.change(&f)
		o := f.OCSF(text(""), "")
		if before, twice := seen[o.Metadata.UID]; twice {
			t.Errorf("%s has the event uid of %s", c.why, before)
		}
		seen[o.Metadata.UID] = c.why
		if o.FindingInfo.UID != f.ID {
			t.Errorf("%s: finding %s is called %s", c.why, f.ID, o.FindingInfo.UID)
		}
		if again := f.OCSF(gone{}, "another version"); again.Metadata.UID != o.Metadata.UID {
			t.Errorf("%s: told again it has another event uid", c.why)
		}
	}
}

// TestEvidenceOfEachKind: what of a record has a place of its own in OCSF.
func TestEvidenceOfEachKind(t *testing.T) {
	want := map[string]string{
		"image": `{}`, "container create": `{}`, "container exit": `{}`, "task": `{}`, "exec": `{}`, "plain JSON": `{}`, "nothing but bytes": `{}`,
		// The helper runs on the host: it is no process of the container.
		"runtime helper": `{}`,
		"process": `{"process":{"pid":4021,"name":"xmrig","cmd_line":"./XMRig.exe -o pool.example:3333",` +
			`"file":{"name":"XMRig.exe","path":"/tmp/.x/XMRig.exe","type":"Regular File","type_id":1},"parent_process":{"pid":3999}}}`,
		"process, bare": `{"process":{"pid":4021}}`,
		"file write":    `{"file":{"name":"XMRig.exe","path":"/tmp/.x/XMRig.exe","type":"Unknown","type_id":0}}`,
		"flow": `{"dst_endpoint":{"ip":"203.0.113.9","port":3333},"src_endpoint":{"ip":"10.1.2.3","port":40000},` +
			`"connection_info":{"direction":"Outbound","direction_id":2,"protocol_name":"tcp"}}`,
		"flow over IPv6": `{"dst_endpoint":{"ip":"203.0.113.9","port":3333},"src_endpoint":{"ip":"fe80::1111:2222:3333:4444","port":40000},` +
			`"connection_info":{"direction":"Outbound","direction_id":2,"protocol_name":"udp"}}`,
		"flow without src": `{"dst_endpoint":{"ip":"203.0.113.9"},"connection_info":{"direction":"Outbound","direction_id":2,"protocol_name":"icmp"}}`,
		"socket":           `{"dst_endpoint":{"ip":"203.0.113.9","port":3333},"connection_info":{"direction":"Outbound","direction_id":2}}`,
		"unix socket":      `{"file":{"name":"docker.sock","path":"/run/docker.sock","type":"Local Socket","type_id":5}}`,
		"dns":              `{"query":{"hostname":"pool.example","type":"A"}}`,
		"dns of the root":  `{"query":{"hostname":""}}`,
	}
	for name, fact := range bodies() {
		f := composed(assessed(subject(containerID), evidenceOf(cited("command", fact)...)))
		e := f.OCSF(text("the record"), "").Evidences[0]
		if e.UID != fact.Event.ID.String() || e.Container == nil || e.Data.Record != "the record" || e.Data.Kind != string(fact.Kind) {
			t.Errorf("%s: uid %s, container %v, record %q, kind %q", name, e.UID, e.Container, e.Data.Record, e.Data.Kind)
		}
		got, err := json.Marshal(struct {
			Process        *ocsfProcess    `json:"process,omitempty"`
			File           *ocsfFile       `json:"file,omitempty"`
			DstEndpoint    *ocsfEndpoint   `json:"dst_endpoint,omitempty"`
			SrcEndpoint    *ocsfEndpoint   `json:"src_endpoint,omitempty"`
			ConnectionInfo *ocsfConnection `json:"connection_info,omitempty"`
			Query          *ocsfQuery      `json:"query,omitempty"`
		}{e.Process, e.File, e.DstEndpoint, e.SrcEndpoint, e.ConnectionInfo, e.Query})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want[name] {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want[name])
		}
	}
}

func TestEvidenceCitesItsRecord(t *testing.T) {
	f := composed(assessed(subject("web")))
	got := f.OCSF(gone{}, "").Evidences[0].Data
	want := EvidenceData{
		Leg: "command", Kind: "command", Signals: []string{"suspicious-exec"}, Says: "/usr/bin/curl http://203.0.113.9/x [4021]",
		Time: "2026-11-21T12:00:01.000000000Z", Source: "auditd", Format: "auditd", File: "audit.log", Line: 7, Lines: []int{7, 8},
		RecordError: "audit.log: no such file", Host: "node1", Cluster: "blue",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := f.OCSF(text("a\xff\xfeb"), "").Evidences[0].Data; got.Record != "a\uFFFDb" || got.RecordError != "" {
		t.Errorf("record %q, error %q", got.Record, got.RecordError)
	}
}

// TestEvidenceNamesItsOwnContainer: in a finding about two containers a record
// of the second is not laid at the first one's door.
func TestEvidenceNamesItsOwnContainer(t *testing.T) {
	worse, better := pair()
	f := composed(worse, better)
	var got []string
	for _, e := range f.OCSF(text(""), "").Evidences {
		got = append(got, e.Container.UID)
	}
	if want := []string{"web-2", "web-1", "web-2", "web-1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestResourcesNameWhatIsAffected(t *testing.T) {
	want := map[string]string{
		"container with a digest": `[{"type":"container","uid":"` + containerID + `","name":"web","namespace":"shop"},` +
			`{"type":"pod","uid":"shop/web-7d9","name":"web-7d9","namespace":"shop"},` +
			`{"type":"image","uid":"` + digestA + `","name":"registry.example/shop/web:1.4"},{"type":"host","uid":"node1","name":"node1"}]`,
		"container with a name only": `[{"type":"container","uid":"` + containerID + `","name":"web","namespace":"shop"},` +
			`{"type":"pod","uid":"shop/web-7d9","name":"web-7d9","namespace":"shop"},` +
			`{"type":"image","uid":"registry.example/shop/web:1.4","name":"registry.example/shop/web:1.4"},{"type":"host","uid":"node1","name":"node1"}]`,
		"container of which only the id is known": `[{"type":"container","uid":"` + containerID + `"}]`,
		"plain subject": `[{"type":"event","uid":"alice 10.0.0.1"}]`,
	}
	wantContainer := map[string]string{
		"container with a digest":                 `{"uid":"` + containerID + `","name":"web","image":{"uid":"` + digestA + `","name":"registry.example/shop/web:1.4","tag":"1.4"}}`,
		"container with a name only":              `{"uid":"` + containerID + `","name":"web","image":{"uid":"registry.example/shop/web:1.4","name":"registry.example/shop/web:1.4","tag":"1.4"}}`,
		"container of which only the id is known": `{"uid":"` + containerID + `"}`,
		"plain subject":                           `null`,
	}
	all := shapes()
	for name := range want {
		f := all[name]
		o := f.OCSF(text(""), "")
		if got, _ := json.Marshal(o.Resources); string(got) != want[name] {
			t.Errorf("%s: resources\n%s\nwant\n%s", name, got, want[name])
		}
		if got, _ := json.Marshal(o.Evidences[0].Container); string(got) != wantContainer[name] {
			t.Errorf("%s: container\n%s\nwant\n%s", name, got, wantContainer[name])
		}
	}
}

// TestAttacksNameTechniques: a sub-technique stands under its technique, and
// what two analytics share stands once.
func TestAttacksNameTechniques(t *testing.T) {
	f := composed(assessed(subject("web"), func(a *analytic.Assessment) {
		a.Analytics = append(a.Analytics, analytic.Raised{ID: "AN9", Techniques: []string{"T1496", "T1496.001"}})
	}))
	got, err := json.Marshal(f.OCSF(text(""), "").FindingInfo.Attacks)

	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"technique":{"uid":"T1204"},"sub_technique":{"uid":"T1204.003"},"version":"18"},` +
		`{"technique":{"uid":"T1496"},"sub_technique":{"uid":"T1496.001"},"version":"18"},{"technique":{"uid":"T1496"},"version":"18"}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// hostile are texts that a log may hold and that break what is careless.
var hostile = map[string]string{
	"invalid UTF-8":       "a\xff\xfe\xc3\x28\xed\xa0\x80b",
	"control characters":  "\x00\x01\x1b[2J\x1b]0;title\x07\r\n\t\x7f\u0085",
	"markup":              `<script>alert("x")</script><!-- ]]> & ' "`,
	"line ends of others": "a\u2028b\u2029c\u202etxt.exe\ufeff",
	"JSON":                `"},"severity_id":1,"x":{"`,
	"a backslash at last": `\`,
	"huge":                strings.Repeat("A\u00e9\xf0", 1<<15),
}

// TestHostileTextStaysText puts hostile text wherever text can come from a
// record, and reads it back.
func TestHostileTextStaysText(t *testing.T) {
	schema := ocsfSchema(t)
	for name, bad := range hostile {
		t.Run(name, func(t *testing.T) {
			for shape, f := range shapes() {
				if len(bad) > 1<<16 && !strings.HasPrefix(shape, "container with a name") {
					continue // the size of one text is the same everywhere
				}
				f := poisoned(f, bad)
				b := encoded(t, f, text(bad))
				if !json.Valid(b) || !utf8.Valid(b) {
					t.Fatalf("%s: not JSON in UTF-8", shape)
				}
				if n := bytes.Count(b, []byte{'\n'}); n != 1 || b[len(b)-1] != '\n' {
					t.Fatalf("%s: %d line ends, want one at the end", shape, n)
				}
				doc := decoded(t, b)
				if err := schema.Validate(doc); err != nil {
					t.Fatalf("%s: %.3000v", shape, err)
				}
				if got, want := doc["message"], readable(bad); got != want {
					t.Errorf("%s: message is %.200q, want %.200q", shape, got, want)
				}
				for _, e := range list(doc["evidences"]) {
					if got, want := e.(map[string]any)["data"].(map[string]any)["says"], readable(bad); got != want {
						t.Errorf("%s: evidence says %.200q, want %.200q", shape, got, want)
					}
				}
			}
		})
	}
}

// readable is how JSON tells a text: each byte that is no UTF-8 as U+FFFD.
func readable(s string) string { return string([]rune(s)) }

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// poisoned is a copy of a finding in which every text that a record can bring
// is this one. The analytics are ours, and the state decides what is written.
func poisoned(f Finding, bad string) Finding {
	analytics, state := f.Analytics, f.State
	out := deepCopy(reflect.ValueOf(f), bad).Interface().(Finding)
	out.Analytics, out.State = analytics, state
	for i := range out.Subjects {
		if c := out.Subjects[i].Container; c != nil {
			c.Image.Reference = image.Parse(bad) // its fields are its own
		}
	}
	return out
}

// deepCopy copies a value with every text in it replaced.
func deepCopy(v reflect.Value, bad string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(bad)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return out
		}
		inner := deepCopy(v.Elem(), bad)
		if v.Kind() == reflect.Interface {
			out.Set(inner)
			return out
		}
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(inner)
	case reflect.Slice:
		if v.IsNil() {
			return out
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(deepCopy(v.Index(i), bad))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(deepCopy(v.Field(i), bad))
			}
		}
	}
	return out
}
