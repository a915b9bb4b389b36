package finding

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// example is a finding with every attribute that we write.
func example(t *testing.T) map[string]any {
	t.Helper()
	return decoded(t, encoded(t, shapes()["evidence: everything"], text("the record")))
}

// place is a value inside a document: the object that holds it, its name
// there, and the way to that object.
type place struct {
	holder map[string]any
	name   string
	way    []string
}

// find goes to "a.b[c].d": [c] takes the first of a list that has a c, and
// [0] the first.
func find(t *testing.T, doc map[string]any, path string) place {
	t.Helper()
	p := place{holder: doc}
	parts := strings.Split(path, ".")
	for i, part := range parts {
		name, pick, listed := strings.Cut(strings.TrimSuffix(part, "]"), "[")
		if i == len(parts)-1 && !listed {
			p.name = name
			return p
		}
		next := p.holder[name]
		p.way = append(p.way, name)
		if listed {
			at := slices.IndexFunc(list(next), func(v any) bool { return v.(map[string]any)[pick] != nil || pick == "0" })
			if at < 0 {
				t.Fatalf("%s: nothing in %s has %s", path, name, pick)
			}
			next = list(next)[at]
			p.way = append(p.way, strconv.Itoa(at))
		}
		object, ok := next.(map[string]any)
		if !ok {
			t.Fatalf("%s: %s is no object", path, part)
		}
		p.holder = object
	}
	return p
}

// rejects checks that a document fails, and fails for what is wrong in it:
// every reason lies at the object that was changed, or below.
func rejects(t *testing.T, schema *jsonschema.Schema, doc map[string]any, way []string) {
	t.Helper()
	err := schema.Validate(doc)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("it passed: %v", err)
	}
	var check func(*jsonschema.ValidationError)
	check = func(e *jsonschema.ValidationError) {
		for _, c := range e.Causes {
			check(c)
		}
		if len(e.Causes) == 0 && (len(e.InstanceLocation) < len(way) || !slices.Equal(e.InstanceLocation[:len(way)], way)) {
			t.Errorf("it failed elsewhere, at %v, want at %v: %v", e.InstanceLocation, way, e)
		}
	}
	check(invalid)
}

// TestSchemaWantsWhatOCSFRequires removes each required attribute of each
// object that we write.
func TestSchemaWantsWhatOCSFRequires(t *testing.T) {
	schema := ocsfSchema(t)
	for _, path := range []string{
		"activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid",
		"metadata.version", "metadata.product", "metadata.product.name",
		"finding_info.uid", "finding_info.analytic.type_id", "finding_info.related_analytics[0].type_id",
		"evidences[container].container.image.uid",
		"evidences[process].process.pid", "evidences[process].process.file.name", "evidences[process].process.file.type_id",
		"evidences[file].file.name", "evidences[file].file.type_id",
		"evidences[dst_endpoint].dst_endpoint.ip", "evidences[src_endpoint].src_endpoint.ip",
		"evidences[connection_info].connection_info.direction_id", "evidences[query].query.hostname",
	} {
		t.Run(path, func(t *testing.T) {
			doc := example(t)
			p := find(t, doc, path)
			if _, there := p.holder[p.name]; !there {
				t.Fatal("the example has none")
			}
			delete(p.holder, p.name)
			rejects(t, schema, doc, p.way)
		})
	}
}

// TestSchemaWantsOneOf leaves an object nothing of what OCSF wants at least
// one of.
func TestSchemaWantsOneOf(t *testing.T) {
	schema := ocsfSchema(t)
	for path, left := range map[string]string{
		"metadata.product":                          `{"vendor_name": "tidewaiter", "version": "1"}`,
		"finding_info.analytic":                     `{"type": "Rule", "type_id": 1}`,
		"finding_info.attacks[0].technique":         `{}`,
		"finding_info.attacks[0].sub_technique":     `{}`,
		"evidences[process].process":                `{"name": "sh", "cmd_line": "sh"}`,
		"evidences[container].container":            `{"image": {"uid": "x"}}`,
		"evidences[dst_endpoint].dst_endpoint":      `{"port": 443}`,
		"evidences[process].process.parent_process": `{}`,
	} {
		t.Run(path, func(t *testing.T) {
			doc := example(t)
			p := find(t, doc, path)
			p.holder[p.name] = parsed(t, left)
			rejects(t, schema, doc, append(p.way, p.name))
		})
	}
	for name, left := range map[string]string{
		"evidences": `{"uid": "1", "container": {"uid": "web"}}`,
		"resources": `{"type": "container", "namespace": "shop"}`,
	} {
		t.Run(name, func(t *testing.T) {
			doc := example(t)
			list(doc[name])[0] = parsed(t, left)
			rejects(t, schema, doc, []string{name, "0"})
		})
	}
	t.Run("attacks", func(t *testing.T) {
		doc := example(t)
		list(find(t, doc, "finding_info.attacks").holder["attacks"])[0] = parsed(t, `{"version": "18"}`)
		rejects(t, schema, doc, []string{"finding_info", "attacks", "0"})
	})
}

func parsed(t *testing.T, s string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaWantsTheRightValues changes one value to one that OCSF does not
// have there.
func TestSchemaWantsTheRightValues(t *testing.T) {
	schema := ocsfSchema(t)
	for _, c := range []struct{ path, value, why string }{
		{"class_uid", "2001", "another class"},
		{"class_name", `"Security Finding"`, "its name"},
		{"category_uid", "1", "another category"},
		{"category_name", `"System Activity"`, "its name"},
		{"activity_id", "4", "no activity of a finding"},
		{"activity_id", "3", "an activity that type_uid denies"},
		{"activity_name", `"Close"`, "a name that activity_id denies"},
		{"type_uid", "200403", "a type that activity_id denies"},
		{"type_uid", "200404", "no type"},
		{"type_name", `"Detection Finding: Close"`, "a name that type_uid denies"},
		{"severity_id", "7", "no severity"},
		{"severity_id", `"3"`, "a number as text"},
		{"severity_id", "4", "a severity whose name is another"},
		{"severity", `"medium"`, "a name that is written otherwise"},
		{"confidence_id", "4", "no confidence"},
		{"confidence", `"High"`, "a name that confidence_id denies"},
		{"confidence_score", "60.5", "a fraction"},
		{"risk_score", `"46"`, "a number as text"},
		{"status_id", "7", "no status"},
		{"status_id", "2", "a status whose name is another"},
		{"status", `"Deleted"`, "a name that status_id denies"},
		{"is_alert", `"true"`, "a text"},
		{"message", "5", "no text"},
		{"time", "1795262401000000000", "nanoseconds"},
		{"time", "1795262401000000", "microseconds"},
		{"time", "1795262401000.5", "a fraction"},
		{"time", "-1", "before 1970"},
		{"time", `"2026-11-21T12:00:01Z"`, "a text"},
		{"start_time", "1795262401000000000", "nanoseconds"},
		{"end_time", "null", "null"},
		{"unmapped", "[]", "no object"},
		{"evidences", "{}", "no list"},
		{"resources", "null", "null"},
		{"metadata.version", `"1.7.0"`, "a release whose enumerations are others"},
		{"metadata.product", `"tidewaiter"`, "no object"},
		{"metadata.uid", `""`, "a uid of nothing"},
		{"finding_info.uid", `""`, "a uid of nothing"},
		{"finding_info.title", "null", "null"},
		{"finding_info.types", `"AN0691"`, "no list"},
		{"finding_info.data_sources", "[1]", "a list of numbers"},
		{"finding_info.first_seen_time", "1795262401000000000", "nanoseconds"},
		{"finding_info.analytic.type_id", "12", "no type of analytic"},
		{"finding_info.analytic.type", `"Behavioral"`, "a name that type_id denies"},
		{"finding_info.related_analytics", "{}", "no list"},
		{"finding_info.attacks[0].technique", `{"uid": "T1204.003"}`, "a sub-technique in the technique's place"},
		{"finding_info.attacks[0].sub_technique", `{"uid": "T1204"}`, "a technique in the sub-technique's place"},
		{"finding_info.attacks[0].version", "18", "a number"},
		{"resources[0].uid", `""`, "a uid of nothing"},
		{"evidences[process].process.pid", `"4021"`, "a number as text"},
		{"evidences[process].process.cmd_line", `["sh"]`, "a list"},
		{"evidences[file].file.type_id", "9", "no type of file"},
		{"evidences[file].file.type", `"Folder"`, "a name that type_id denies"},
		{"evidences[container].container", "null", "null"},
		{"evidences[dst_endpoint].dst_endpoint.ip", `"invalid IP"`, "no address"},
		{"evidences[dst_endpoint].dst_endpoint.ip", `"pool.example"`, "a name"},
		{"evidences[dst_endpoint].dst_endpoint.ip", `"203.0.113.9:3333"`, "an address with a port"},
		{"evidences[dst_endpoint].dst_endpoint.port", "65536", "no port"},
		{"evidences[src_endpoint].src_endpoint.port", "-1", "no port"},
		{"evidences[connection_info].connection_info.direction_id", "4", "a direction that came with a later release"},
		{"evidences[connection_info].connection_info.direction_id", "1", "a direction whose name is another"},
		{"evidences[connection_info].connection_info.direction", `"outbound"`, "a name that is written otherwise"},
		{"evidences[query].query.hostname", "null", "null"},
		{"evidences[query].query", `"pool.example"`, "no object"},
	} {
		t.Run(c.path+" "+c.value, func(t *testing.T) {
			doc := example(t)
			p := find(t, doc, c.path)
			if _, there := p.holder[p.name]; !there {
				t.Fatal("the example has none")
			}
			p.holder[p.name] = parsed(t, c.value)
			rejects(t, schema, doc, p.way)
		})
	}
}

// TestSchemaKnowsEveryAttribute: an attribute that OCSF does not define fails
// in every object, and passes only where OCSF leaves the object to us.
func TestSchemaKnowsEveryAttribute(t *testing.T) {
	schema := ocsfSchema(t)
	for _, path := range []string{
		"", "metadata.", "metadata.product.", "finding_info.", "finding_info.analytic.", "finding_info.related_analytics[0].",
		"finding_info.attacks[0].", "finding_info.attacks[0].technique.", "finding_info.attacks[0].sub_technique.",
		"resources[0].", "evidences[0].", "evidences[container].container.", "evidences[container].container.image.",
		"evidences[process].process.", "evidences[process].process.file.", "evidences[process].process.parent_process.",
		"evidences[file].file.", "evidences[dst_endpoint].dst_endpoint.", "evidences[src_endpoint].src_endpoint.",
		"evidences[connection_info].connection_info.", "evidences[query].query.",
	} {
		t.Run(path, func(t *testing.T) {
			doc := example(t)
			p := find(t, doc, path+"no_such_attribute")
			p.holder[p.name] = "x"
			rejects(t, schema, doc, p.way)
		})
	}
	for _, path := range []string{"unmapped.", "evidences[data].data."} {
		doc := example(t)
		p := find(t, doc, path+"no_such_attribute")
		p.holder[p.name] = "x"
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s is ours to fill: %v", path, err)
		}
	}
}

// TestSchemaListsWhatWeWrite: the schema has exactly the attributes that the
// structs have, so that a field cannot be added without being looked up, and
// none stays after its field went.
func TestSchemaListsWhatWeWrite(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var root schemaObject
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	w := schemaWalk{t: t, root: &root, written: map[*schemaObject]map[string]bool{}}
	w.object(reflect.TypeFor[OCSF](), &root)
	if len(w.written) != 16 {
		t.Errorf("%d objects were compared, want 16", len(w.written))
	}
	for s, fields := range w.written {
		got, want := slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(s.Properties))
		if !slices.Equal(got, want) {
			t.Errorf("the structs write %v, the schema lists %v", got, want)
		}
		if s.Additional == nil || *s.Additional {
			t.Errorf("the object of %v is open", want)
		}
	}
}

// schemaObject is as much of a schema as tells which attributes there are.
type schemaObject struct {
	Ref        string                   `json:"$ref"`
	AllOf      []*schemaObject          `json:"allOf"`
	Items      *schemaObject            `json:"items"`
	Properties map[string]*schemaObject `json:"properties"`
	Additional *bool                    `json:"additionalProperties"`
	Defs       map[string]*schemaObject `json:"$defs"`
}

// schemaWalk goes through structs and schema side by side.
type schemaWalk struct {
	t       *testing.T
	root    *schemaObject
	written map[*schemaObject]map[string]bool
}

func (w *schemaWalk) object(typ reflect.Type, s *schemaObject) {
	if w.written[s] == nil {
		w.written[s] = map[string]bool{}
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		w.written[s][name] = true
		field := typ.Field(i).Type
		for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice {
			field = field.Elem()
		}
		if field.Kind() != reflect.Struct || field == reflect.TypeFor[Unmapped]() || field == reflect.TypeFor[EvidenceData]() {
			continue
		}
		if s.Properties[name] == nil {
			w.t.Errorf("%s.%s: the schema has no %q", typ, typ.Field(i).Name, name)
			continue
		}
		w.object(field, w.resolve(s.Properties[name]))
	}
}

// resolve follows a property to the definition that lists its attributes.
func (w *schemaWalk) resolve(s *schemaObject) *schemaObject {
	switch {
	case s.Items != nil:
		return w.resolve(s.Items)
	case s.Ref != "":
		return w.root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
	case len(s.AllOf) > 0:
		return w.resolve(s.AllOf[0])
	}
	return s
}
