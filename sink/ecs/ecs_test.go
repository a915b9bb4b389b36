package ecs_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ecs"
	"tidewaiter/sink/sinktest"
)

var update = flag.Bool("update", false, "rewrite testdata/finding.json")

func document(t *testing.T, n sink.Notice) []byte {
	t.Helper()
	d, err := ecs.Of(n)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// The document of the bundled recording's finding is kept, so that a change of
// what receivers get shows in review.
func TestTheDocumentIsAsItWas(t *testing.T) {
	got := document(t, sinktest.Notice(t))
	const golden = "testdata/finding.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("another document; if that is meant, run go test -update\n%s", got)
	}
}

func TestAPodAndAMachineHaveTheirFields(t *testing.T) {
	n := sinktest.Notice(t)
	var o finding.OCSF
	if err := json.Unmarshal(n.Told.JSON, &o); err != nil {
		t.Fatal(err)
	}
	o.Unmapped.Entities = []finding.Entity{{
		Kind: "pod", Pod: "web-1", PodUID: "u-1", Namespace: "shop", Cluster: "prod", Workload: "deployment/web", Principal: "alice",
		Account: "123", InstanceID: "i-1", InstanceType: "m5.large", Region: "eu-1", Zone: "eu-1a",
	}}
	o.IsAlert, o.ActivityName = false, "Close"
	var err error
	if n.Told.JSON, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
	got := document(t, n)
	for _, want := range []string{
		`"kind": "event"`, `"action": "finding-close"`, `"type": "kubernetes"`, `"namespace": "shop"`, `"name": "web-1"`, `"type": "deployment"`,
		`"availability_zone": "eu-1a"`, `"id": "i-1"`, `"type": "m5.large"`, `"alice"`,
	} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if bytes.Contains(got, []byte(`"container": `)) || bytes.Contains(got, []byte(`"host": `)) {
		t.Errorf("what is not known is written\n%s", got)
	}
}

func TestWhatIsNoFindingFailsForGood(t *testing.T) {
	n := sinktest.Notice(t)
	n.Told.JSON = []byte("no")
	if _, err := ecs.Of(n); !sink.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	document(t, sinktest.HostileNotice(t))
}
