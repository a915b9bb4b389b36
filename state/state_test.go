package state

import (
	"bytes"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func openIn(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var at = time.Unix(1_800_000_000, 5)

func commit(t *testing.T, s *Store, c Commit) {
	t.Helper()
	c.At = at
	if err := s.Commit(&c); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsCommittedIsThereAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder? with 100%25 #odd signs")
	s := openIn(t, dir)
	big := bytes.Repeat([]byte("0123456789"), 250_000)
	commit(t, s, Commit{Checkpoint: &Checkpoint{Epoch: 1, At: at, Data: append(big, big...)}})
	commit(t, s, Commit{
		Checkpoint: &Checkpoint{Epoch: 7, At: at, Data: big}, Marks: map[string]string{"docker": "a"}, Facts: map[string]string{"x": "y"},
		Findings: []Finding{{ID: "tw-1", Severity: 3, Told: 3, State: "provisional", Last: 9, JSON: []byte("{}")}},
		Notices:  []Notice{{Sink: "soc", ID: "n", Finding: "tw-1", Severity: 3, JSON: []byte("{}")}},
	})
	commit(t, s, Commit{Marks: map[string]string{"docker": "b"}, Findings: []Finding{{ID: "tw-1", Severity: 2, Told: 2, State: "confirmed", Last: 10, JSON: []byte("{1}")}}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, dir)
	c, err := s.Checkpoint()
	if err != nil || c.Epoch != 7 || !c.At.Equal(at) || !bytes.Equal(c.Data, big) {
		t.Errorf("checkpoint of epoch %d, %d bytes, %v", c.Epoch, len(c.Data), err)
	}
	if m, err := s.Mark("docker"); m != "b" || err != nil {
		t.Errorf("mark %q, %v", m, err)
	}
	if f, err := s.Fact("x"); f != "y" || err != nil {
		t.Errorf("fact %q, %v", f, err)
	}
	all, err := s.Findings()
	if f := all["tw-1"]; err != nil || f.Severity != 2 || f.Told != 3 || f.State != "confirmed" || f.Last != 10 {
		t.Errorf("finding %+v, %v: what was told never falls", f, err)
	}
}

// The same notice is sent once, however often it is committed.
func TestANoticeIsDeliveredOnce(t *testing.T) {
	s := openIn(t, t.TempDir())
	n := Commit{Notices: []Notice{{Sink: "soc", ID: "n", Finding: "f", JSON: []byte("{}")}}}
	commit(t, s, n)
	commit(t, s, n)
	d, ok, _, err := s.Next("soc", at)
	if !ok || err != nil || d.Notice.ID != "n" {
		t.Fatalf("%+v, %v, %v", d, ok, err)
	}
	if err := s.Failed(d.ID, "no", at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, ok, when, _ := s.Next("soc", at); ok || !when.Equal(at.Add(time.Minute)) {
		t.Errorf("due %v, at %v", ok, when)
	}
	if err := s.GiveUp(d.ID, "never", at); err != nil {
		t.Fatal(err)
	}
	if dead, err := s.Deliveries(Dead, "soc", 10); len(dead) != 1 || dead[0].Fault != "never" || dead[0].Tries != 2 || err != nil {
		t.Errorf("%+v, %v", dead, err)
	}
	if n, err := s.Resend("soc", nil, at); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	d, ok, _, _ = s.Next("soc", at)
	if !ok {
		t.Fatal("not due again")
	}
	if err := s.Delivered(d.ID, at); err != nil {
		t.Fatal(err)
	}
	commit(t, s, n)
	if _, ok, _, _ := s.Next("soc", at); ok {
		t.Error("delivered twice")
	}
	if n, err := s.Resend("", []int64{d.ID}, at); n != 0 || err != nil {
		t.Errorf("what was delivered is sent again: %d, %v", n, err)
	}
	if w, err := s.Waiting(); w["soc"][Done] != 1 || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	if err := s.Expire(at.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if w, _ := s.Waiting(); len(w) != 0 {
		t.Errorf("kept: %v", w)
	}
}

func TestANewerFormIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	if err := s.within(func(tx *sql.Tx) error { _, err := tx.Exec("PRAGMA user_version = 99"); return err }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(dir); !errors.Is(err, ErrNewer) {
		t.Errorf("%v, want ErrNewer", err)
	}
}

func TestChangedSince(t *testing.T) {
	s := openIn(t, t.TempDir())
	for i, id := range []string{"tw-2", "tw-1", "tw-2"} {
		c := Commit{At: at.Add(time.Duration(i)), Findings: []Finding{{ID: id, State: "provisional", JSON: []byte{'0' + byte(i)}}}}
		if err := s.Commit(&c); err != nil {
			t.Fatal(err)
		}
	}
	for since, want := range map[time.Duration]string{0: "12", 2: "2", 3: ""} {
		got := ""
		err := s.Changed(at.Add(since), func(json []byte, updated time.Time) error {
			if !updated.Equal(at.Add(time.Duration(json[0] - '0'))) {
				t.Errorf("%s was written at %v", json, updated)
			}
			got += string(json)
			return nil
		})
		if got != want || err != nil {
			t.Errorf("since %d: %q, %v, want %q", since, got, err, want)
		}
	}
}

func TestMarksByPrefix(t *testing.T) {
	s := openIn(t, t.TempDir())
	commit(t, s, Commit{Marks: map[string]string{"alive docker": "1", "alive files-1": "2", "sensor docker": "3"}})
	if got, err := s.Marks("alive "); err != nil || len(got) != 2 || got["docker"] != "1" || got["files-1"] != "2" {
		t.Errorf("%v, %v", got, err)
	}
}
