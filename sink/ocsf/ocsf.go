// Package ocsf gives sinks a notice's finding as JSON that fits the receiver,
// and as the struct that other forms are made of.
//
// In: notices. Out: OCSF Detection Findings, of bounded length.
package ocsf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"tidewaiter/finding"
	"tidewaiter/sink"
)

// ErrTooLong is what a finding fails with that cannot be made to fit.
var ErrTooLong = errors.New("the finding is longer than the receiver takes")

// Limit says what of a finding is sent.
type Limit struct {
	// Max is the length in bytes; 0 for no limit.
	Max int
	// OmitRecords leaves the raw records out, which can hold secrets of what
	// ran here.
	OmitRecords bool
}

// What stands in record_error where a record is left out.
const (
	omitted = "left out: this sink sends no records"
	tooLong = "left out: the finding is too long for this sink"
)

// Parse reads the notice's finding. What is no finding fails for good.
func Parse(n sink.Notice) (finding.OCSF, error) {
	var o finding.OCSF
	if err := json.Unmarshal(n.Told.JSON, &o); err != nil {
		return o, sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
	}
	return o, nil
}

// JSON gives the finding on one line. If it is too long, the raw records go
// first, then evidence from the end, whose number unmapped.omitted_evidence
// counts; then all that is affected but the first, and the weaker reasons, of
// which a note tells. What does not fit then fails for good.
func JSON(n sink.Notice, limit Limit) ([]byte, error) {
	fits := func(b []byte) bool { return limit.Max <= 0 || len(b) <= limit.Max }
	if !limit.OmitRecords {
		var b bytes.Buffer
		if err := json.Compact(&b, n.Told.JSON); err != nil {
			return nil, sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
		}
		if fits(b.Bytes()) {
			return b.Bytes(), nil
		}
	}
	o, err := Parse(n)
	if err != nil {
		return nil, err
	}
	why := omitted
	if !limit.OmitRecords {
		why = tooLong
	}
	for i := range o.Evidences {
		o.Evidences[i].Data.Record, o.Evidences[i].Data.RecordError = "", why
	}
	for {
		b, err := json.Marshal(o)
		switch {
		case err != nil:
			return nil, sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
		case fits(b):
			return b, nil
		case len(o.Evidences) == 0 && shorten(&o):
			continue
		case len(o.Evidences) == 0:
			return nil, sink.Permanent(fmt.Errorf("notice %s: %d bytes, limit %d: %w", n.ID, len(b), limit.Max, ErrTooLong))
		}
		// Halving writes the JSON a few times only, however long the list is.
		keep := len(o.Evidences) / 2
		o.Unmapped.Omitted += len(o.Evidences) - keep
		o.Evidences = o.Evidences[:keep]
	}
}

// What a shortened finding keeps.
const (
	keepResources = 4 // a container's, with pod, image and host
	keepSignals   = 8
)

// shorten drops lists that grow with the number of things affected; false if
// there is nothing to drop.
func shorten(o *finding.OCSF) bool {
	u := &o.Unmapped
	entities, signals := len(u.Entities), len(u.Signals)
	if entities <= 1 && signals <= keepSignals && len(o.Resources) <= keepResources && len(u.ToSettle) == 0 {
		return false
	}
	u.Entities, u.Signals = u.Entities[:min(entities, 1)], u.Signals[:min(signals, keepSignals)]
	o.Resources, u.ToSettle = o.Resources[:min(len(o.Resources), keepResources)], []string{}
	u.Notes = append(u.Notes, fmt.Sprintf("too long for this sink: %d further things that are affected and %d reasons are left out, and what would settle it",
		entities-len(u.Entities), signals-len(u.Signals)))
	return true
}
