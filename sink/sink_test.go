package sink_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tidewaiter/sink"
)

func TestMarksSurviveWrapping(t *testing.T) {
	plain := errors.New("no")
	for name, c := range map[string]struct {
		err       error
		permanent bool
		wait      time.Duration
	}{
		"plain":     {plain, false, 0},
		"permanent": {fmt.Errorf("a: %w", sink.Permanent(plain)), true, 0},
		"later":     {fmt.Errorf("a: %w", sink.RetryAfter(plain, time.Minute)), false, time.Minute},
		"no time":   {sink.RetryAfter(plain, 0), false, 0},
		"negative":  {sink.RetryAfter(plain, -1), false, 0},
		"both":      {sink.Permanent(sink.RetryAfter(plain, time.Second)), true, time.Second},
	} {
		wait, asked := sink.After(c.err)
		if sink.IsPermanent(c.err) != c.permanent || wait != c.wait || asked != (c.wait > 0) || !errors.Is(c.err, plain) {
			t.Errorf("%s: permanent %v, wait %v %v", name, sink.IsPermanent(c.err), wait, asked)
		}
	}
	if sink.Permanent(nil) != nil || sink.RetryAfter(nil, 1) != nil {
		t.Error("success is marked")
	}
}
