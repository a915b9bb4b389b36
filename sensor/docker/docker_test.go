package docker

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/source"
	decoder "tidewaiter/source/docker"
	"tidewaiter/source/sourcetest"
)

var (
	idWeb = strings.Repeat("5e1f", 16)
	idOld = strings.Repeat("01da", 16)
	idImg = "sha256:" + strings.Repeat("9d42", 16)
	idNet = strings.Repeat("ae70", 16)
)

const when = int64(1777882150123456789)

// containerJSON is an inspection with secrets wherever there are some.
func containerJSON(id string) string {
	return `{"Id":"` + id + `","Created":"2026-05-04T08:09:10.1Z","Path":"/entry","Args":["-p","80"],"Image":"` + idImg + `","Name":"/shop",
"State":{"Status":"running","Running":true,"Pid":4711,"StartedAt":"2026-05-04T08:09:11Z"},
"HostConfig":{"Memory":9007199254740993,"LogConfig":{"Type":"splunk","Config":{"splunk-token":"hunter2"}},"Mounts":[{"VolumeOptions":{"DriverConfig":{"Options":{"o":"password=hunter2"}}}}]},
"Config":{"Image":"acme/shop:3","Env":["TOKEN=hunter2","PATH=/bin","BARE"],"Cmd":["|2","A=hunter2","B=hunter2","/bin/sh","-c","A=1 make"],"Labels":{"tier":"front","Env":"x=y"}},
"NetworkSettings":{"Networks":{"bridge":{"NetworkID":"` + idNet + `","IPAddress":"172.17.0.2"}}}}`
}

var (
	imageJSON   = `{"Id":"` + idImg + `","RepoTags":["acme/shop:3"],"RepoDigests":["acme/shop@` + idImg + `"],"Os":"linux","Architecture":"amd64","Config":{"Env":["TOKEN=hunter2"]},"ContainerConfig":{"Cmd":["|1","A=hunter2"]},"RootFS":{"Type":"layers"}}`
	networkJSON = `{"Name":"bridge","Id":"` + idNet + `","Driver":"bridge","IPAM":{},"Containers":{"` + idWeb + `":{"Name":"shop","IPv4Address":"172.17.0.2/16"},"` + idOld + `":{"Name":"old","IPv4Address":"172.17.0.9/16"}}}`
)

// TestWhatIsThereAndWhatHappens: what is listed, the events, and what is looked
// up for them are all read by the decoders of those formats.
func TestWhatIsThereAndWhatHappens(t *testing.T) {
	e := newEngine(t)
	e.set("/containers/json", `[{"Id":"`+idOld+`"}]`)
	e.set("/images/json", `[{"Id":"`+idImg+`"}]`)
	e.set("/containers/"+idOld+"/json", containerJSON(idOld))
	e.set("/containers/"+idWeb+"/json", containerJSON(idWeb))
	e.set("/images/"+idImg+"/json", imageJSON)
	e.set("/images/acme/shop:3/json", imageJSON)
	e.set("/networks/"+idNet, networkJSON)
	w := e.watch(t, Options{}, "")
	e.say("image", "pull", "acme/shop:3", `"name":"acme/shop"`, when)
	e.say("container", "create", idWeb, `"image":"acme/shop:3","name":"shop","tier":"<&>\u2028\n{{json .}}"`, when+1)
	e.say("network", "connect", idNet, `"container":"`+idWeb+`","name":"bridge","type":"bridge"`, when+2)
	w.Until(t, "looked up", func() bool {
		return len(w.Lines("docker-inspect")) >= 2 && len(w.Lines("docker-inspect-image")) >= 2 && len(w.Lines("docker-inspect-network")) >= 1
	})
	w.stop()
	if err := w.ended(t); err != nil {
		t.Fatalf("ended with %v", err)
	}
	if l := w.Losses(); len(l) > 0 {
		t.Errorf("losses %q", l)
	}
	if got, want := w.Resume(), "1777882150.123456791"; got != want {
		t.Errorf("goes on at %s, want %s", got, want)
	}
	all := read(t, w, map[string]int{"docker-events": 3, "docker-inspect": 2, "docker-image-inspect": 2, "docker-network-inspect": 1})
	sourcetest.Require(t, all, func(c *event.Container) bool {
		return c.ID == idWeb && c.Action == event.ContainerCreate && c.Labels["tier"] == "<&>\u2028\n{{json .}}"
	})
	sourcetest.Require(t, all, func(c *event.ContainerDescription) bool { return c.ID == idOld && c.PID == 4711 })
	sourcetest.Require(t, all, func(c *event.ContainerDescription) bool {
		return c.ID == idWeb && len(c.Networks) == 1 && c.Networks[0].Addrs[0].String() == "172.17.0.2" && c.Networks[0].At.IsZero() && c.Labels["Env"] == "x=y"
	})
	sourcetest.Require(t, all, func(c *event.ContainerDescription) bool {
		return c.ID == idWeb && c.Image.IsZero() && !c.Networks[0].At.IsZero()
	})
	sourcetest.Require(t, all, func(i *event.ImageDescription) bool { return len(i.RepoDigests) == 1 })
}

// read decodes every lane as what its format is, and as what it looks like.
func read(t *testing.T, w *watched, records map[string]int) []event.Event {
	t.Helper()
	formats := []*source.Format{decoder.Events(), decoder.EventsText(), decoder.InspectContainer(), decoder.InspectImage(), decoder.InspectNetwork(), decoder.DaemonLog()}
	var all []event.Event
	for file, format := range w.Write(t, t.TempDir()) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hunter2") {
			t.Errorf("%s tells a secret:\n%s", file, text)
		}
		in, events := sourcetest.ReadFile(t, file, formats...)
		tally := in.Tallies()[0]
		if tally.Format.Name != format || tally.Unreadable > 0 || int(tally.Records) != records[format] {
			t.Errorf("%s: read as %s, %d records, %d unreadable; want %s, %d:\n%s", file, tally.Format.Name, tally.Records, tally.Unreadable, format, records[format], text)
		}
		all = append(all, events...)
	}
	return all
}

func TestRedactKeepsTheRest(t *testing.T) {
	line, err := redact([]byte(containerJSON(idWeb)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"TOKEN=\u003credacted\u003e"`, `"BARE"`, `"Memory":9007199254740993`, `"A=1 make"`, `"splunk-token":"\u003credacted\u003e"`} {
		if !strings.Contains(string(line), want) {
			t.Errorf("%s is gone from %s", want, line)
		}
	}
	for _, odd := range []string{`{"Env":null,"Cmd":{},"LogConfig":[],"DriverConfig":7,"Args":[]}`, `{"Env":[1,null,{}],"Cmd":["|9","A=b"]}`, `{"Cmd":["|-3","x=y"]}`} {
		if _, err := redact([]byte(odd), nil); err != nil {
			t.Errorf("%s: %v", odd, err)
		}
	}
	for _, wrong := range []string{``, `[]`, `{"a":`} {
		if _, err := redact([]byte(wrong), nil); err == nil {
			t.Errorf("%q is no answer", wrong)
		}
	}
}

// TestItGoesOn: after a break the engine is asked for what came since.
func TestItGoesOn(t *testing.T) {
	e := newEngine(t)
	w := e.watch(t, Options{}, "1777882000.000000007")
	e.say("container", "die", idWeb, "", when)
	w.Until(t, "the event", func() bool { return len(w.Lines("docker-events")) == 1 })
	e.events <- ""
	err := w.ended(t)
	if _, lacks := sensor.AsLack(err); err == nil || lacks {
		t.Errorf("ended with %v, want an interruption", err)
	}
	again := e.watch(t, Options{}, w.Resume())
	again.stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	if got := strings.Join(e.since, " "); got != "1777882000.000000007 1777882150.123456789" {
		t.Errorf("asked since %s", got)
	}
}

func TestAFullMemoryOfTheEngineIsNoProof(t *testing.T) {
	e := newEngine(t)
	w := e.watch(t, Options{}, "1777882000.000000007")
	for n := range int64(remembered) {
		e.say("container", "die", idWeb, "", when+n)
	}
	w.Until(t, "the loss", func() bool { return len(w.Losses()) > 0 })
	if l := w.Losses(); len(l) != 1 || !strings.HasPrefix(l[0], "-1 the engine remembers 256 events") {
		t.Errorf("losses %q", l)
	}
}

// TestASlowEngine: events are recorded while it does not answer; what cannot be
// asked is counted.
func TestASlowEngine(t *testing.T) {
	e := newEngine(t)
	e.slow = make(chan struct{})
	e.set("/containers/"+idWeb+"/json", containerJSON(idWeb))
	w := e.watch(t, Options{Workers: 1, Queue: 2}, "")
	// One question is asked, one of the same waits, and the third says no more.
	for n := range int64(3) {
		e.say("container", "start", idWeb, "", when+n)
		w.Until(t, "the question", func() bool { return e.askedFor("/containers/"+idWeb+"/json") == 1 })
	}
	for n := range int64(4) {
		e.say("container", "start", strings.Repeat(string('a'+rune(n)), 64), "", when+3+n)
	}
	w.Until(t, "the events", func() bool { return len(w.Lines("docker-events")) == 7 && len(w.Losses()) == 3 })
	// An address is told meanwhile.
	e.set("/networks/"+idNet, networkJSON)
	e.say("network", "connect", idNet, `"container":"`+idWeb+`"`, when+9)
	w.Until(t, "the address", func() bool { return len(w.Lines("docker-inspect-network")) == 1 })
	close(e.slow)
	w.Until(t, "the answers", func() bool { return len(w.Lines("docker-inspect")) == 2 })
	w.stop()
	if err := w.ended(t); err != nil {
		t.Error(err)
	}
}

func TestAQuestionWithoutAnAnswer(t *testing.T) {
	e := newEngine(t)
	e.slow = make(chan struct{})
	e.set("/containers/"+idWeb+"/json", containerJSON(idWeb))
	w := e.watch(t, Options{Timeout: 50 * time.Millisecond}, "")
	e.say("container", "start", idWeb, "", when)
	e.say("container", "start", idOld, "", when) // gone already
	w.Until(t, "the loss", func() bool { return len(w.Losses()) == 1 })
	if l := w.Losses(); l[0] != "1 a look-up that the Docker Engine did not answer" {
		t.Errorf("losses %q", l)
	}
}

func TestLacks(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "left"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	mute, err := net.Listen("unix", filepath.Join(dir, "mute"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for host, want := range map[string]string{
		"unix://" + filepath.Join(dir, "none"): "start Docker",
		"unix://" + filepath.Join(dir, "left"): "start Docker",
		"unix://" + filepath.Join(dir, "mute"): "start Docker",
		"nonsense":                             "unix:///path",
	} {
		err := New(Options{Host: host, Timeout: 100 * time.Millisecond}).Watch(t.Context(), nil)
		var lack *sensor.Lack
		if !errors.As(err, &lack) || !strings.Contains(lack.Mend, want) {
			t.Errorf("%s: %v, want a lack mended by %q", host, err, want)
		}
	}
}
