package audit

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func texts(t *testing.T, o Options) (all []string) {
	t.Helper()
	o.Key = DefaultKey
	rules, err := rulesOf(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		all = append(all, r.text)
		loaded, ok := readRule(r.wire)
		if !ok || (loaded.key != DefaultKey && loaded.key != socketKey(DefaultKey)) || !loaded.asks() || loaded.silences() {
			t.Errorf("%s is read as %+v", r.text, loaded)
		}
	}
	return all
}

func TestRules(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want []string
	}{
		{Options{}, nil},
		{Options{Exec: true}, []string{
			"-a always,exit -F arch=b64 -S execve,execveat -F key=tidewaiter",
			"-a always,exit -F arch=b32 -S execve,execveat -F key=tidewaiter",
		}},
		{Options{Connect: true, Sockets: []string{"/run/a b.sock"}, ExcludePID: 4711}, []string{
			"-a always,exit -F arch=b64 -S connect -F path=/run/a b.sock -F pid!=4711 -F key=tidewaiter-socket",
			"-a always,exit -F arch=b32 -S connect -F path=/run/a b.sock -F pid!=4711 -F key=tidewaiter-socket",
			"-a always,exit -F arch=b64 -S connect -F pid!=4711 -F key=tidewaiter",
			"-a always,exit -F arch=b32 -S connect -F pid!=4711 -F key=tidewaiter",
		}},
		{Options{Rules: []string{"-a always,exit -F arch=b64 -S openat -F uid=54321", "-w /etc/docker/daemon.json -p wa"}}, []string{
			"-a always,exit -F arch=b64 -S openat -F uid=54321 -F key=tidewaiter",
			"-w /etc/docker/daemon.json -p wa -k tidewaiter",
		}},
	} {
		if got := texts(t, test.o); !slices.Equal(got, test.want) {
			t.Errorf("%+v:\n%q, want\n%q", test.o, got, test.want)
		}
	}
}

// TestRefusedRules: what would touch rules of others, or could not be told from
// theirs afterwards, is none of ours.
func TestRefusedRules(t *testing.T) {
	for _, text := range []string{"-D", "-D -k x", "-w /etc -p wa -k mine", "-a always,exit -S execve -k mine", "-a always,exit -S execve -F key=mine"} {
		if _, err := New(Options{Rules: []string{text}}); !errors.Is(err, errRule) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, o := range []Options{{Rules: []string{""}}, {Rules: []string{"-a always,exit -S nocall"}}, {Sockets: []string{"docker.sock"}}, {Sockets: []string{"/run/"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestOnlyOwnRulesAreRemoved(t *testing.T) {
	k := keeper{key: DefaultKey}
	for key, want := range map[string]bool{
		"tidewaiter": true, "tidewaiter-socket": true, "tidewaiter-else": false, "": false, "exec": false, "tidewaiter\x01exec": false,
	} {
		if k.own(loadedRule{key: key}) != want {
			t.Errorf("%q", key)
		}
	}
}

func FuzzReadRule(f *testing.F) {
	rules, err := rulesOf(Options{Exec: true, Sockets: []string{"/run/docker.sock"}, Key: "k"})
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range rules {
		f.Add(r.wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, ok := readRule(wire)
		_ = fmt.Sprint(r.asks(), r.silences(), ok)
	})
}
