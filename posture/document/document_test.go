package document

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tidewaiter/posture"
	"tidewaiter/source"
	"tidewaiter/source/auditd"
)

// read writes files, reads them, and gives the facts.
func read(t *testing.T, files map[string]string) *posture.Facts {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := &posture.Facts{}
	r := &Reader{Facts: f, Formats: []*source.Format{auditd.Format(), auditd.Laurel()}}
	r.Path(dir)
	r.Finish()
	return f
}

const dockerService = "[Unit]\nDescription=Docker\n[Service]\nExecStart=/usr/bin/dockerd -H fd:// \\\n  -H tcp://0.0.0.0:2376 --containerd=/run/containerd/containerd.sock\n"

// What a Docker daemon serves, and with what, is put together from all places
// that state it.
func TestDaemons(t *testing.T) {
	for name, c := range map[string]struct {
		files               map[string]string
		addr                string
		tls, verify, userns string
	}{
		"plain by file":      {map[string]string{"daemon.json": `{"hosts":["unix:///run/docker.sock","tcp://0.0.0.0:2375"]}`}, "0.0.0.0:2375", "no", "no", ""},
		"unit alone":         {map[string]string{"docker.service": dockerService}, "0.0.0.0:2376", "no", "no", ""},
		"unit and file":      {map[string]string{"docker.service": dockerService, "daemon.json": `{"tlsverify":true,"tlscacert":"/ca.pem","userns-remap":"default"}`}, "0.0.0.0:2376", "yes", "yes", "userns-remap default"},
		"TLS, nobody asked":  {map[string]string{"docker.service": dockerService, "daemon.json": `{"tls":true}`}, "0.0.0.0:2376", "yes", "no", ""},
		"default port":       {map[string]string{"daemon.json": `{"hosts":["tcp://192.0.2.7"],"tlsverify":true}`}, "192.0.2.7:2376", "yes", "yes", ""},
		"default host":       {map[string]string{"daemon.json": `{"hosts":["tcp://:2375"]}`}, "127.0.0.1:2375", "no", "no", ""},
		"inherited":          {map[string]string{"docker.socket": "[Unit]\nDescription=Docker Socket\n[Socket]\nListenStream=2375\n", "daemon.json": "{}"}, "0.0.0.0:2375", "no", "no", ""},
		"warned of":          {map[string]string{"info.json": `{"ServerVersion":"27.1","Warnings":["[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.\n  Access"],"SecurityOptions":["name=rootless"]}`}, "0.0.0.0:2375", "no", "no", "rootless"},
		"warned of TLS":      {map[string]string{"info.json": `{"ServerVersion":"20.10","Warnings":["WARNING: API is accessible on https://0.0.0.0:2376 without TLS client verification.\n"]}`}, "0.0.0.0:2376", "yes", "no", ""},
		"warned of, as text": {map[string]string{"info.txt": "Client:\n Version: 27\n\nServer:\n Server Version: 27.1\n Security Options:\n  seccomp\n   Profile: builtin\n  userns\n Kernel Version: 6\nWARNING: API is accessible on http://10.0.0.4:2375 without encryption.\n"}, "10.0.0.4:2375", "no", "no", "userns-remap"},
		"arguments in audit": {map[string]string{"audit.log": "type=SYSCALL msg=audit(1793000000.123:42): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=900 auid=4294967295 uid=0 comm=\"dockerd\" exe=\"/usr/bin/dockerd\" key=\"e\"\ntype=EXECVE msg=audit(1793000000.123:42): argc=3 a0=\"dockerd\" a1=\"-H\" a2=\"tcp://0.0.0.0:2375\"\ntype=EOE msg=audit(1793000000.123:42): \n"}, "0.0.0.0:2375", "no", "no", ""},
	} {
		f := read(t, c.files)
		if len(f.Engines) != 1 || len(f.Gaps) > 0 {
			t.Errorf("%s: engines %+v, gaps %+v", name, f.Engines, f.Gaps)
			continue
		}
		var tcp []posture.Listener
		for _, l := range f.Engines[0].Listeners {
			if l.Network == "tcp" {
				tcp = append(tcp, l)
			}
		}
		if len(tcp) != 1 || tcp[0].Addr != c.addr {
			t.Errorf("%s: listeners %+v", name, f.Engines[0].Listeners)
			continue
		}
		if got := yesNo(tcp[0].TLS) + " " + yesNo(tcp[0].Verify); got != c.tls+" "+c.verify {
			t.Errorf("%s: TLS and verification %s, want %s %s", name, got, c.tls, c.verify)
		}
		if got := f.Engines[0].Userns.Value; got != c.userns {
			t.Errorf("%s: user namespace %q, want %q", name, got, c.userns)
		}
	}
}

func yesNo(s posture.Said[bool]) string {
	switch {
	case !s.Known():
		return "unknown"
	case s.Value:
		return "yes"
	}
	return "no"
}

// A configuration that could not be read leaves open whether TLS is used.
func TestAnUnreadConfigurationLeavesTLSOpen(t *testing.T) {
	d := Daemon{Name: "d", Args: []string{"-H", "tcp://0.0.0.0:2376"}, ArgsWhere: "args", Unread: "permission denied"}
	e, _ := d.Engine()
	if len(e.Listeners) != 1 || e.Listeners[0].TLS.Known() || e.Userns.Known() {
		t.Errorf("%+v", e)
	}
}

func TestArguments(t *testing.T) {
	c, file := readArgs(strings.Fields("-D -H=unix:///a -Htcp://b:1 --host c --tlsverify=false --tls --icc=false --userns-remap u --config-file /x.json --registry-mirror https://m"))
	if !slices.Equal(c.Hosts, []string{"unix:///a", "tcp://b:1", "c"}) || *c.TLSVerify || !*c.TLS || *c.ICC || *c.UsernsRemap != "u" || file != "/x.json" || len(c.Mirrors) != 1 {
		t.Errorf("%+v %s", c, file)
	}
	if readArgs([]string{"-H"}); ConfigFile(nil) != "/etc/docker/daemon.json" {
		t.Error("the default file")
	}
}

const inspect = `[{"Id":"c0","Name":"/web","Image":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","State":{"Running":true},
 "Config":{"Image":"nginx:1.27","User":""},"HostConfig":{"Privileged":true,"CapAdd":["NET_ADMIN"],"NetworkMode":"host","PidMode":"host","IpcMode":"private","UTSMode":"","UsernsMode":""},
 "Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Destination":"/s","RW":true},{"Type":"volume","Source":"/var/lib/docker/volumes/v/_data","Destination":"/v","RW":true}],
 "NetworkSettings":{"Networks":{"host":{}}}},
 {"Id":"c1","Name":"/db","Config":{"Image":"db","User":"70"},"HostConfig":{"Binds":["/etc:/host:ro","vol:/data"]},"NetworkSettings":{"Networks":{"bridge":{},"shop":{}}}}]`

func TestContainers(t *testing.T) {
	f := read(t, map[string]string{"i.json": inspect,
		"net.json": `[{"Name":"bridge","Driver":"bridge","IPAM":{},"Options":{"com.docker.network.bridge.default_bridge":"true","com.docker.network.bridge.enable_icc":"false"}}]`,
		"img.json": `[{"Id":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","RepoTags":["nginx:1.27"],"RepoDigests":["nginx@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"],"Created":"2026-10-01T10:00:00.5Z","Config":{"User":"101"},"RootFS":{}}]`})
	if len(f.Containers) != 2 || len(f.Networks) != 1 || len(f.Images) != 1 || len(f.Gaps) > 0 {
		t.Fatalf("%+v", f)
	}
	a, b := f.Containers[0], f.Containers[1]
	if a.Name != "web" || !a.Privileged || !slices.Equal(a.HostNamespaces, []string{"network", "pid"}) || len(a.Mounts) != 1 || len(a.Networks) != 0 || !a.User.Known() {
		t.Errorf("%+v", a)
	}
	if len(b.Mounts) != 1 || !b.Mounts[0].ReadOnly || b.Mounts[0].Source != "/etc" || !slices.Equal(b.Networks, []string{"bridge", "shop"}) {
		t.Errorf("%+v", b)
	}
	if n := f.Networks[0]; !n.Default || n.ICC {
		t.Errorf("%+v", n)
	}
	if im := f.Images[0]; len(im.Origins) != 1 || im.Created.Year() != 2026 || im.User != "101" || im.Name != "nginx:1.27" {
		t.Errorf("%+v", im)
	}
}

// Files that say nothing, or nothing that is understood, are gaps with a reason.
func TestWhatCannotBeReadIsSaid(t *testing.T) {
	for name, text := range map[string]string{
		"a.json": "{", "b.yaml": "a: [", "c.txt": "hello\n", "d.json": "[]", "e.json": `{"x":1}`, "f.bin": "\x00\x01\x02", "g.json": "",
		"h.service": "[Service]\nExecStart=/usr/bin/sshd\n", "i.json": `{"kind":"List","apiVersion":"v1","items":[3]}`, "j.json": "[1]", "k.yaml": "? [a]\n: b\n",
	} {
		f := read(t, map[string]string{name: text})
		if len(f.Gaps) != 1 || f.Gaps[0].Topic != posture.TopicInput || f.Gaps[0].Why == "" {
			t.Errorf("%s: gaps %+v", name, f.Gaps)
		}
	}
	f := &posture.Facts{}
	r := &Reader{Facts: f}
	r.Path("/nonexistent/x")
	if len(f.Gaps) != 1 || f.Gaps[0].Why != "no such file or directory" {
		t.Errorf("%+v", f.Gaps)
	}
}

// Uses over SSH are read from the commands that a Linux audit log records.
func TestUseOverSSH(t *testing.T) {
	f := read(t, map[string]string{"audit.log": "type=SYSCALL msg=audit(1793000000.123:42): arch=c000003e syscall=59 success=yes exit=0 ppid=800 pid=900 auid=1001 uid=1001 comm=\"docker\" exe=\"/usr/bin/docker\" key=\"e\"\n" +
		"type=EXECVE msg=audit(1793000000.123:42): argc=3 a0=\"docker\" a1=\"system\" a2=\"dial-stdio\"\ntype=EOE msg=audit(1793000000.123:42): \n"})
	if len(f.Uses) != 1 || f.Uses[0].Way != "ssh" || f.Uses[0].From != "login 1001" || !strings.HasSuffix(f.Uses[0].Where, "audit.log:1") {
		t.Errorf("%+v %+v", f.Uses, f.Gaps)
	}
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{inspect, dockerService, cluster, iptables, nft, `{"hosts":["tcp://"]}`, "Server Version: 1\nWARNING: API is accessible on \n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		r := &Reader{Facts: &posture.Facts{}}
		_ = r.Document("f", data) // whatever it is, it must not panic
		r.Finish()
	})
}
