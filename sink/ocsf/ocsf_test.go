package ocsf_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/sinktest"
)

func TestAFindingFitsItsReceiver(t *testing.T) {
	n := sinktest.Notice(t)
	whole := len(n.Told.JSON)
	for name, c := range map[string]struct {
		limit    ocsf.Limit
		evidence int // at least
		records  bool
		fails    bool
	}{
		"no limit":       {ocsf.Limit{}, 10, true, false},
		"just fits":      {ocsf.Limit{Max: whole}, 10, true, false},
		"without by ask": {ocsf.Limit{OmitRecords: true}, 10, false, false},
		"a little less":  {ocsf.Limit{Max: whole - 1000}, 10, false, false},
		"little":         {ocsf.Limit{Max: 9000}, 1, false, false},
		"nothing":        {ocsf.Limit{Max: 100}, 0, false, true},
	} {
		b, err := ocsf.JSON(n, c.limit)
		if c.fails {
			if !errors.Is(err, ocsf.ErrTooLong) || !sink.IsPermanent(err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || c.limit.Max > 0 && len(b) > c.limit.Max || bytes.Contains(b, []byte("\n")) {
			t.Errorf("%s: %v, %d bytes", name, err, len(b))
		}
		var o, all finding.OCSF
		if err := errors.Join(json.Unmarshal(b, &o), json.Unmarshal(n.Told.JSON, &all)); err != nil {
			t.Fatal(err)
		}
		if len(o.Evidences) < c.evidence || len(o.Evidences)+o.Unmapped.Omitted != len(all.Evidences)+all.Unmapped.Omitted {
			t.Errorf("%s: %d of %d records of evidence, %d omitted", name, len(o.Evidences), len(all.Evidences), o.Unmapped.Omitted)
		}
		if has := o.Evidences[0].Data.Record != ""; has != c.records || has == (o.Evidences[0].Data.RecordError != "") {
			t.Errorf("%s: records: %v, %q", name, has, o.Evidences[0].Data.RecordError)
		}
		if o.FindingInfo.UID != all.FindingInfo.UID || len(o.Unmapped.Signals) != len(all.Unmapped.Signals) {
			t.Errorf("%s: the story is cut", name)
		}
	}
	n.Told.JSON = []byte("[]")
	if _, err := ocsf.JSON(n, ocsf.Limit{OmitRecords: true}); !sink.IsPermanent(err) {
		t.Errorf("no finding: %v", err)
	}
}

// A finding about many things is told where it does not fit, too.
func TestAWideFindingIsShortened(t *testing.T) {
	n := sinktest.Notice(t)
	var o finding.OCSF
	if err := json.Unmarshal(n.Told.JSON, &o); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		o.Unmapped.Entities, o.Resources = append(o.Unmapped.Entities, o.Unmapped.Entities[0]), append(o.Resources, o.Resources[0])
	}
	var err error
	if n.Told.JSON, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
	b, err := ocsf.JSON(n, ocsf.Limit{Max: 7680})
	var got finding.OCSF
	if err != nil || len(b) > 7680 || json.Unmarshal(b, &got) != nil {
		t.Fatalf("%v, %d bytes", err, len(b))
	}
	last := got.Unmapped.Notes[len(got.Unmapped.Notes)-1]
	if len(got.Unmapped.Entities) != 1 || len(got.Resources) == 0 || !strings.Contains(last, "200 further things") {
		t.Errorf("%d entities, %q", len(got.Unmapped.Entities), last)
	}
}
