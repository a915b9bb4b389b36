package scenario_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/source/sourcetest"
)

// Every mutable element that MITRE gives an analytic is a tunable of the
// detection that executes it, by MITRE's own name, and nothing else is.
func TestMutableElementsAreTunables(t *testing.T) {
	data, err := os.ReadFile(sourcetest.Shared(t, "attack", "detection-strategies.json"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string][]string{}
	collectElements(t, data, theirs)
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range lib.Detections() {
		want, known := theirs[d.ID]
		if !known {
			t.Errorf("%s: ATT&CK's text has no such analytic", d.ID)
			continue
		}
		slices.Sort(want)
		var got []string
		for _, tunable := range d.Tunables {
			got = append(got, tunable.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: tunables %v, mutable elements %v", d.ID, got, want)
		}
	}
}

// collectElements finds the analytics wherever they stand in the file.
func collectElements(t *testing.T, data []byte, into map[string][]string) {
	t.Helper()
	var any any
	if err := json.Unmarshal(data, &any); err != nil {
		t.Fatal(err)
	}
	walk(any, into)
	if len(into) == 0 {
		t.Fatal("no analytics found")
	}
}

func walk(v any, into map[string][]string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			walk(e, into)
		}
	case map[string]any:
		id, _ := v["id"].(string)
		if list, ok := v["mutable_elements"].([]any); ok {
			for _, e := range list {
				if m, ok := e.(map[string]any); ok {
					if name, ok := m["field"].(string); ok {
						into[id] = append(into[id], name)
					}
				}
			}
		}
		for _, e := range v {
			walk(e, into)
		}
	}
}
