package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/source"
)

func settingsOf(t *testing.T, text string) (Settings, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadSettings(file)
}

// watched runs a sensor of settings while f does something, and gives what it
// recorded.
func watched(t *testing.T, s Settings, f func(*sensortest.Recorder)) *sensortest.Recorder {
	t.Helper()
	all, err := sensors(s)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	out := sensortest.New("")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func(one sensor.Sensor) { done <- one.Watch(ctx, out) }(all[0])
	out.Until(t, "ready", func() bool { return out.Readies() > 0 })
	f(out)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return out
}

// decoded reads what was recorded as the daemon does.
func decoded(t *testing.T, out *sensortest.Recorder) (events []event.Event) {
	t.Helper()
	for file, name := range out.Write(t, t.TempDir()) {
		var f *source.Format
		for _, one := range Formats() {
			if one.Name == name {
				f = one
			}
		}
		if f == nil {
			t.Fatalf("no format is called %q", name)
		}
		data, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		in := source.OpenStream(data, f, source.Options{Name: file, Formats: Formats()})
		defer in.Close()
		for {
			e, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		for _, tally := range in.Tallies() {
			if tally.Unreadable != 0 {
				t.Errorf("%s: %+v", name, tally)
			}
		}
	}
	return events
}

// TestWhatIsSentIsRead sends records of several kinds and has them decoded.
func TestWhatIsSentIsRead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	ln.Close()
	s, err := settingsOf(t, "cluster: blue\nsensors: {defaults: false, receive: {enabled: true, listen: '"+at+"'}}\n")
	if err != nil {
		t.Fatal(err)
	}
	audit := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a-1","stage":"ResponseStarted","requestURI":"/api/v1/namespaces/prod/pods/web-1/exec?command=id&container=app","verb":"create",` +
		`"user":{"username":"eve"},"sourceIPs":["192.0.2.7"],"objectRef":{"resource":"pods","namespace":"prod","name":"web-1","subresource":"exec"},"responseStatus":{"code":101},` +
		`"requestReceivedTimestamp":"2026-11-03T10:00:00.250000Z","stageTimestamp":"2026-11-03T10:00:00.260000Z"}`
	execve := `type=SYSCALL msg=audit(1793700000.250:7): arch=c000003e syscall=59 success=yes exit=0 ppid=4700 pid=4711 auid=4294967295 uid=0 ses=4294967295 comm="wget" exe="/bin/wget"` + "\n" +
		`type=EXECVE msg=audit(1793700000.250:7): argc=1 a0="wget"` + "\n" + `type=EOE msg=audit(1793700000.250:7):` + "\n"
	shipped := fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"shop-1"}}]},"scopeLogs":[{"logRecords":[{"body":{"stringValue":%q}}]}]}]}`, audit)
	out := watched(t, s, func(*sensortest.Recorder) {
		for path, body := range map[string]string{
			"/kubernetes/audit":           `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + audit + `]}`,
			"/records/auditd?host=shop-1": execve,
			"/v1/logs":                    shipped,
		} {
			a, err := http.Post("http://"+at+path, "application/json", strings.NewReader(body))
			if err != nil || a.StatusCode != 200 {
				t.Errorf("%s: %v %v", path, a, err)
			}
		}
	})
	kinds := map[event.Kind]int{}
	for _, e := range decoded(t, out) {
		kinds[e.Body.Kind()]++
	}
	if kinds[event.KindPodAccess] != 2 || kinds[event.KindProcess] != 1 {
		t.Error(kinds)
	}
}

// TestReceiveSettings: what is wrong is told with the key and its line.
func TestReceiveSettings(t *testing.T) {
	_, err := settingsOf(t, `sensors:
  receive:
    enabled: true
    listen: 0.0.0.0:8443
    tls:
      key: k
    formats: [nothing, k8s-audit, user-data]
    files:
      audit.log: auditd
`)
	for _, want := range []string{
		`config.yaml:7: sensors.receive.formats[0]: no format that can be sent is called "nothing"`,
		`config.yaml:7: sensors.receive.formats[2]: no format that can be sent is called "user-data"`,
		`config.yaml:6: sensors.receive.tls: a certificate needs its key`,
		`config.yaml:9: sensors.receive.files.audit.log: no format that is taken is called "auditd"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
	_, err = settingsOf(t, "sensors:\n  receive:\n    enabled: true\n    listen: 0.0.0.0:8443\n")
	if err == nil || !strings.Contains(err.Error(), "config.yaml:4: sensors.receive.listen: other hosts could read and send") {
		t.Error(err)
	}
	_, err = settingsOf(t, "sensors:\n  receive:\n    enabled: true\n")
	if err == nil || !strings.Contains(err.Error(), "config.yaml:3: sensors.receive.listen: ") {
		t.Error(err)
	}
	if _, err = settingsOf(t, "sensors: {receive: {listen: x}}"); err != nil {
		t.Error(err)
	}
}
