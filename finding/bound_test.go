package finding

import (
	"fmt"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// What has ended does not fill memory.
func TestEndedFindingsAreBounded(t *testing.T) {
	b := NewBook()
	subject := func(n int) evidence.SubjectID {
		return evidence.SubjectID{Kind: "container", Place: event.Place{Host: "h"}, ID: fmt.Sprint(n)}
	}
	for n := range 5 * maxEnded {
		a := analytic.Assessment{Subject: subject(n), Family: "AN0691", Severity: analytic.Low, Cause: fmt.Sprint(n)}
		b.Put(subject(n), []analytic.Assessment{a})
		b.Put(subject(n), nil)
		if n%1000 == 0 { // it is found again, and stays
			b.Put(subject(n), []analytic.Assessment{a})
		}
	}
	if n := len(b.Ended()); n > 2*maxEnded || n < maxEnded {
		t.Errorf("%d ended findings are kept", n)
	}
	if n := len(b.Findings(0)); n != 5*maxEnded/1000 {
		t.Errorf("%d findings, want those that were found again", n)
	}
	if b.Unkept+len(b.Ended()) != 5*maxEnded-5*maxEnded/1000 {
		t.Errorf("%d are counted as dropped, %d kept", b.Unkept, len(b.Ended()))
	}
}
