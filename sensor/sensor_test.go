package sensor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
)

func TestQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		qs := NewQuestions[string](2)
		for q, want := range map[string]bool{"a": true} {
			for range 3 {
				if qs.Ask(q) != want {
					t.Errorf("%s: not %v", q, want)
				}
			}
		}
		if !qs.Ask("b") || qs.Ask("c") || !qs.Ask("a") {
			t.Error("the bound does not hold, or what waits is refused")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var answered []string
		go qs.Answer(ctx, func(_ context.Context, q string) { answered = append(answered, q) })
		synctest.Wait()
		qs.Ask("a") // no longer waiting
		synctest.Wait()
		if got := fmt.Sprint(answered); got != "[a b a]" {
			t.Errorf("answered %s", got)
		}
		cancel()
	})
}

func TestReach(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := Reach(t.Context(), filepath.Join(dir, "s"), "Demo", ""); err != nil {
		t.Error(err)
	}
	l.Close()
	for name, mend := range map[string]string{"s": "start Demo", "none": "start Demo, or name its socket"} {
		lack, ok := AsLack(fmt.Errorf("watch: %w", Reach(t.Context(), filepath.Join(dir, name), "Demo", "")))
		if !ok || lack.Mend != mend || lack.Err == nil || !errors.Is(lack, lack.Err) || lack.Error() == lack.What {
			t.Errorf("%s: %+v", name, lack)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err = Reach(ended, filepath.Join(dir, "s"), "Demo", "")
	if _, lacks := AsLack(err); err == nil || lacks {
		t.Errorf("given up: %v", err)
	}
}
