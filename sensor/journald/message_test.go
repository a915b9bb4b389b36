package journald

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/cri"
	"tidewaiter/source/docker"
	"tidewaiter/source/kubernetes"
	"tidewaiter/source/sourcetest"
)

func line(t *testing.T, host, unit, identifier, said string) string {
	t.Helper()
	quoted, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	m, err := read(fmt.Appendf(nil, `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1793700000123456","_HOSTNAME":"node1","_PID":"812","_SYSTEMD_UNIT":%q,"SYSLOG_IDENTIFIER":%q,"MESSAGE":%s}`, unit, identifier, quoted))
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.appendLine(nil, host)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLine(t *testing.T) {
	for _, test := range []struct{ host, identifier, said, want string }{
		{"", "dockerd", "a b", "2026-11-03T10:00:00.123456Z node1 dockerd[812]: a b\n"},
		{"own", "dockerd", "a\nb\r\n", "2026-11-03T10:00:00.123456Z own dockerd[812]: a#012b\n"},
		{"", "x y: [z]", "", "2026-11-03T10:00:00.123456Z node1 x_y___z_[812]: \n"},
	} {
		if got := line(t, test.host, "docker.service", test.identifier, test.said); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestDecodersReadTheLines: each format takes the lines for the program's own,
// and a host that is named by the one name that this host goes by.
func TestDecodersReadTheLines(t *testing.T) {
	const id = "3fa6f1ee1d2c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccdde"
	for _, test := range []struct {
		format           *source.Format
		identifier, said string
	}{
		{docker.DaemonLog(), "dockerd", `time="2026-11-03T10:00:00.120000000Z" level=debug msg="Calling POST /v1.41/containers/` + id + `/start"`},
		{docker.DaemonLog(), "dockerd", `time="2026-11-03T10:00:00.120000000Z" level=debug msg="Calling POST /v1.41/images/create?fromImage=alpine&tag=3"`},
		{cri.ContainerdLog(), "containerd", `time="2026-11-03T10:00:00.120000000Z" level=info msg="StartContainer for \"` + id + `\" returns successfully"`},
		{cri.CRIOLog(), "crio", `time="2026-11-03 10:00:00.120000000Z" level=info msg="Started container" PID=4711 containerID=` + id + ` description=prod/shop-1/web id=0b1c name=/runtime.v1.RuntimeService/StartContainer sandboxID=` + id},
		{kubernetes.Kubelet(), "kubelet", `I1103 10:00:00.120000     812 kubelet.go:2124] "SyncLoop (PLEG): event for pod" pod="prod/shop-1" event={"ID":"0b1c","Type":"ContainerStarted","Data":"` + id + `"}`},
	} {
		if unit := strings.TrimSuffix(test.identifier, "d") + ".service"; DefaultUnits[unit] != test.format.Name && DefaultUnits[test.identifier+".service"] != test.format.Name {
			t.Errorf("%s: %s", unit, DefaultUnits[unit])
		}
		events, tally := sourcetest.Decode(t, test.format, line(t, "own", "u.service", test.identifier, test.said))
		for _, fault := range tally.Faults {
			t.Error(fault)
		}
		if len(events) == 0 && strings.Contains(test.said, id) {
			t.Errorf("%s: nothing of %s", test.format.Name, test.said)
		}
		for _, e := range events {
			if got := event.Unix(e.Time.At).UTC().Format("2006-01-02T15:04:05.000000"); got != "2026-11-03T10:00:00.120000" || e.Place.Host != "own" && e.Place.Host != "" {
				t.Errorf("%s: at %s, %v", test.format.Name, got, e.Place)
			}
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`"a\u00e9"`: "aé", `null`: "", `[]`: "", `[97,255]`: "a\xff", `["a","b"]`: "a", `[[97],"b"]`: "a",
	} {
		var got text
		if err := json.Unmarshal([]byte(in), &got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{`1`, `{}`, `[256]`, `[-1]`, `[1,"a"]`, `true`} {
		var got text
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s is taken: %q", in, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1793700000123456","MESSAGE":[97,10],"SYSLOG_IDENTIFIER":["a","b"]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := read(in)
		if err != nil {
			return
		}
		if b, err := m.appendLine(nil, ""); err == nil && strings.Count(string(b), "\n") != 1 {
			t.Errorf("%q", b)
		}
	})
}
