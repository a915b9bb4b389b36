package image

import (
	"errors"
	"strings"
	"testing"
)

// Digests for the tests, written like real ones.
const (
	hexI = "1111111111111111111111111111111111111111111111111111111111111111"
	hexM = "2222222222222222222222222222222222222222222222222222222222222222"
	hexC = "3333333333333333333333333333333333333333333333333333333333333333"

	dgI = "sha256:" + hexI
	dgM = "sha256:" + hexM
	dgC = "sha256:" + hexC
)

func digestOf(t testing.TB, s string) Digest {
	t.Helper()
	d, err := ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// normal is what a reference is understood as.
type normal struct {
	form     Form
	repo     string // Repository
	tag      string
	implicit bool
	digest   string
	flag     string // "ip", "idn", "local" or an account, "" for none
}

func normalOf(r Reference) normal {
	n := normal{form: r.Form(), repo: r.Repository(), tag: r.Tag(), implicit: r.TagImplicit(), digest: r.Digest().String()}
	switch {
	case r.IPRegistry():
		n.flag = "ip"
	case r.IDN():
		n.flag = "idn"
	case r.Local():
		n.flag = "local"
	default:
		n.flag = r.CloudAccount()
	}
	return n
}

func latest(repo, flag string) normal {
	return normal{form: Named, repo: repo, tag: "latest", implicit: true, flag: flag}
}

func tagged(repo, tag, flag string) normal {
	return normal{form: Named, repo: repo, tag: tag, flag: flag}
}

func idOf(d string) normal { return normal{form: ID, digest: d} }

var (
	invalid = normal{form: Invalid}
	hub125  = tagged("docker.io/library/nginx", "1.25", "")
)

// normalForms lists the ways of writing an image.
var normalForms = []struct {
	why  string
	text string
	want normal
}{
	{"a bare name is official and its tag is assumed", "nginx", latest("docker.io/library/nginx", "")},
	{"a tag is kept", "nginx:1.25", hub125},
	{"library may be written", "library/nginx:1.25", hub125},
	{"the host may be written without library", "docker.io/nginx:1.25", hub125},
	{"the index is the registry", "index.docker.io/library/nginx:1.25", hub125},
	{"the registry's own host is Docker Hub", "registry-1.docker.io/library/nginx:1.25", hub125},
	{"the web host is Docker Hub", "registry.hub.docker.com/library/nginx:1.25", hub125},
	{"hosts have no letter case", "Docker.IO/library/nginx:1.25", hub125},
	{"https has port 443", "docker.io:443/library/nginx:1.25", hub125},
	{"blanks around it are no part of it", " nginx:1.25\n", hub125},
	{"a digest needs no tag", "nginx@" + dgM, normal{form: Named, repo: "docker.io/library/nginx", digest: dgM}},
	{"a tag beside a digest is kept as a claim", "nginx:1.25@" + dgM, normal{form: Named, repo: "docker.io/library/nginx", tag: "1.25", digest: dgM}},
	{"a user's repository is not official", "bitnami/nginx", latest("docker.io/bitnami/nginx", "")},
	{"a first part without dot or port is a Docker Hub user", "myhost/app", latest("docker.io/myhost/app", "")},
	{"a capital letter makes it a host", "MyHost/app", latest("myhost/app", "")},
	{"so does a port", "myhost:5000/app", latest("myhost:5000/app", "")},
	{"also the port that is left out", "myhost:443/app", latest("myhost/app", "")},
	{"localhost is a host", "localhost/app", latest("localhost/app", "local")},
	{"localhost with a port", "localhost:5000/app:dev", tagged("localhost:5000/app", "dev", "local")},
	{"an IPv4 registry", "10.0.0.5:5000/a/b/c:v1", tagged("10.0.0.5:5000/a/b/c", "v1", "ip")},
	{"an IPv4 registry without port", "10.0.0.5/a:v1", tagged("10.0.0.5/a", "v1", "ip")},
	{"an IPv6 registry", "[2001:db8::1]:5000/app:1", tagged("[2001:db8::1]:5000/app", "1", "ip")},
	{"an IPv6 registry without port", "[2001:db8::1]/app:1", tagged("[2001:db8::1]/app", "1", "ip")},
	{"one element is never a host", "example.com", latest("docker.io/library/example.com", "")},
	{"a host that begins like another", "docker.io.evil.example/library/nginx", latest("docker.io.evil.example/library/nginx", "")},
	{"a host in the path is only a path", "library/docker.io/nginx", latest("docker.io/library/docker.io/nginx", "")},
	{"a user called like a host", "dockerio/nginx", latest("docker.io/dockerio/nginx", "")},
	{"an internationalised host in ASCII", "xn--docker-abc.io/app", latest("xn--docker-abc.io/app", "idn")},
	{"an internationalised host in letters", "d\u00f6cker.example/app", latest("xn--dcker-jua.example/app", "idn")},
	{"the same with a port", "d\u00f6cker.example:5000/app", latest("xn--dcker-jua.example:5000/app", "idn")},
	{"the same in capitals", "D\u00d6CKER.Example/app", latest("xn--dcker-jua.example/app", "idn")},
	{"a mirror's name stays the mirror's", "public.ecr.aws/docker/library/nginx:1.25", tagged("public.ecr.aws/docker/library/nginx", "1.25", "")},
	{"a private mirror's name too", "mirror.corp.example/docker-hub/library/nginx:1.25", tagged("mirror.corp.example/docker-hub/library/nginx", "1.25", "")},
	{"an Amazon account is in the host", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:prod", tagged("123456789012.dkr.ecr.us-east-1.amazonaws.com/app", "prod", "123456789012")},
	{"also in China", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app", latest("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app", "123456789012")},
	{"but not before another host's name", "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.test/app", latest("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.test/app", "")},
	{"an account has twelve digits", "12345678901x.dkr.ecr.us-east-1.amazonaws.com/app", latest("12345678901x.dkr.ecr.us-east-1.amazonaws.com/app", "")},
	{"and neither more nor fewer", "12345678901.dkr.ecr.us-east-1.amazonaws.com/app", latest("12345678901.dkr.ecr.us-east-1.amazonaws.com/app", "")},
	{"a Google project is the first path part", "us-docker.pkg.dev/proj/repo/img:tag", tagged("us-docker.pkg.dev/proj/repo/img", "tag", "proj")},
	{"also on the old host", "eu.gcr.io/proj/img:tag", tagged("eu.gcr.io/proj/img", "tag", "proj")},
	{"a digest alone is an id", dgC, idOf(dgC)},
	{"64 hex digits are an id", hexC, idOf(dgC)},
	{"a kubelet's imageID by name", "docker-pullable://nginx@" + dgM, normal{form: Named, repo: "docker.io/library/nginx", digest: dgM}},
	{"a kubelet's imageID by id", "docker://" + dgC, idOf(dgC)},
	{"containerd's scheme", "containerd://" + dgC, idOf(dgC)},
	{"CRI-O's scheme and a bare id", "cri-o://" + hexC, idOf(dgC)},
	{"what ParseDockerRef makes of an id", "docker.io/library/sha256:" + hexC, idOf(dgC)},
	{"the same with the short host", "docker.io/sha256:" + hexC, idOf(dgC)},
	{"the same with a digest, which wins", "docker.io/library/sha256:" + hexC + "@" + dgM, idOf(dgM)},
	{"an untagged image in a containerd store", "moby-dangling@" + dgM, idOf(dgM)},
	{"the same, normalised", "docker.io/library/moby-dangling@" + dgM, idOf(dgM)},
	{"a repository called so is a repository", "moby-dangling:1", tagged("docker.io/library/moby-dangling", "1", "")},
	{"elsewhere a repository may be called sha256", "evil.test/library/sha256:" + hexC, tagged("evil.test/library/sha256", hexC, "")},
	{"an id cut short is no name", "sha256:3333", invalid},
	{"an id in capitals is no name", "sha256:" + strings.ToUpper("abcdef"+hexC[6:]), invalid},
	{"an algorithm in capitals is no name", "SHA256:" + hexC, invalid},
	{"an id that became a tag, cut short", "docker.io/library/sha256:3333", invalid},
	{"an id with a tag is no name", hexC + ":latest", invalid},
	{"and is not that id: anybody can tag an image so", "docker.io/library/" + hexC, invalid},
	{"capitals in the path", "registry.corp/Team/App:1", invalid},
	{"capitals in a bare name", "Nginx", invalid},
	{"an empty tag", "nginx:", invalid},
	{"a digest that is none", "nginx@sha256:abcd", invalid},
	{"an unknown algorithm", "nginx@md5:d41d8cd98f00b204e9800998ecf8427e", invalid},
	{"a URL", "HTTP://docker.io/nginx", invalid},
	{"a path that goes up", "a/b/../c", invalid},
	{"a scheme and nothing behind it", "docker://", invalid},
	{"a host that ends in a dot", "docker.io./library/nginx", invalid},
	{"a host in full-width letters is not what it looks like", "\uff44\uff4f\uff43\uff4b\uff45\uff52.io/library/nginx", invalid},
	{"nor beside a letter that is honest", "d\u00f6ck\uff45r.example/app", invalid},
	{"nor with the Kelvin sign for a k", "doc\u212aer.io/library/nginx", invalid},
	{"nor with a capital I that has a dot", "docker.\u0130o/library/nginx", invalid},
	{"nor with a long s", "qua\u017f.example/app", invalid},
	{"nor with another kind of dot", "docker\u3002io/library/nginx", invalid},
	{"nor with a letter that is not drawn", "dock\u200ber.io/library/nginx", invalid},
	{"a host with an underscore", "my_host.example/app", invalid},
	{"nothing", "", normal{form: None}},
	{"only blanks", " \t", normal{form: None}},
}

// TestNormalForms pins how every way of writing an image is understood.
func TestNormalForms(t *testing.T) {
	for _, c := range normalForms {
		t.Run(c.why, func(t *testing.T) {
			r := Parse(c.text)
			if got := normalOf(r); got != c.want {
				t.Errorf("Parse(%q)\n got %+v\nwant %+v", c.text, got, c.want)
			}
			if r.Form() != None && r.Raw() != c.text {
				t.Errorf("Raw() = %q, want what was written: %q", r.Raw(), c.text)
			}
			if err := r.Err(); (err != nil) != (c.want.form == Invalid) || err != nil && !errors.Is(err, ErrBadReference) {
				t.Errorf("Err() = %v for form %d", err, r.Form())
			}
			if want := c.want.form == Named && c.want.digest == ""; r.Mutable() != want {
				t.Errorf("Mutable() = %t, want %t", r.Mutable(), want)
			}
		})
	}
}

// TestShortIDs pins that only the Docker Engine's hex digits are an id's
// beginning: elsewhere they are a name like any other.
func TestShortIDs(t *testing.T) {
	const short = "9f86d081884c"
	if r := ParseDocker(short); r.Form() != ShortID || r.ShortID() != short || r.Key() != "" || r.String() != short {
		t.Errorf("ParseDocker(%q) = form %d, short id %q, key %q", short, r.Form(), r.ShortID(), r.Key())
	}
	if r := Parse(short); r.Repository() != "docker.io/library/"+short {
		t.Errorf("Parse(%q) is %q: without Docker it is a name", short, r.Repository())
	}
	for text, want := range map[string]Form{
		short[:11]: Named, hexC[:63]: ShortID, hexC: ID, "9f86d081884g": Named, strings.ToUpper(short): Invalid,
		short + ":latest": Named, "docker://" + short: ShortID,
	} {
		if r := ParseDocker(text); r.Form() != want {
			t.Errorf("ParseDocker(%q) has form %d, want %d", text, r.Form(), want)
		}
	}
}

// TestOneArtefact pins that the five ways in which five sources call one image
// lead to one artefact: four by name, and the last by the index they resolve to.
func TestOneArtefact(t *testing.T) {
	pod, event, containerd, docker := Parse("nginx"), Parse("nginx"), Parse("docker.io/library/nginx:latest"), ParseDocker("nginx:latest")
	for _, r := range []Reference{event, containerd, docker} {
		if r.Key() != pod.Key() {
			t.Errorf("%q has key %q, the pod's image has %q", r.Raw(), r.Key(), pod.Key())
		}
	}
	status := Parse("docker-pullable://nginx@" + dgI)
	if status.Repository() != pod.Repository() {
		t.Errorf("the status names repository %q, the pod %q", status.Repository(), pod.Repository())
	}
	if status.Key() == pod.Key() {
		t.Error("a digest and a tag that can be moved have one key")
	}
	f := NewFamily()
	f.Add(Edge{digestOf(t, dgI), digestOf(t, dgM)})
	f.Add(Edge{digestOf(t, dgM), digestOf(t, dgC)})
	if c := f.Canonical(digestOf(t, dgC)); c != status.Digest() {
		t.Errorf("the config that runs belongs to %s, the status names %s", c.Short(), status.Digest().Short())
	}
}

// TestKeys pins what is compared: repository and digest, or else tag.
func TestKeys(t *testing.T) {
	for text, want := range map[string]string{
		"nginx":                     "docker.io/library/nginx:latest",
		"nginx:latest":              "docker.io/library/nginx:latest",
		"nginx:1.25@" + dgM:         "docker.io/library/nginx@" + dgM,
		"nginx@" + dgM:              "docker.io/library/nginx@" + dgM,
		hexC:                        dgC,
		"docker-pullable://" + hexC: dgC,
		"MyHost/app":                "myhost/app:latest",
		"":                          "",
		"Not A Reference":           "",
	} {
		if got := Parse(text).Key(); got != want {
			t.Errorf("key of %q is %q, want %q", text, got, want)
		}
	}
	if Parse("a/b").Repository() == "" || Parse(dgC).Repository() != "" || Parse("Bad Name").Repository() != "" {
		t.Error("only a name has a repository")
	}
}

func TestWithTag(t *testing.T) {
	for text, want := range map[string]string{
		"nginx":                     "docker.io/library/nginx:9",
		"nginx:1.25@" + dgM:         "docker.io/library/nginx:9",
		"registry.example:5000/a/b": "registry.example:5000/a/b:9",
		"MyHost/app":                "myhost/app:9",
		"[2001:db8::1]/app":         "[2001:db8::1]/app:9",
	} {
		r := Parse(text).WithTag("9")
		if r.Key() != want || r.TagImplicit() {
			t.Errorf("Parse(%q).WithTag(9) has key %q (tag implicit: %t), want %q", text, r.Key(), r.TagImplicit(), want)
		}
	}
	if r := Parse("nginx").WithTag("not a tag"); r.Form() != Invalid {
		t.Errorf("WithTag(not a tag) gives form %d", r.Form())
	}
}

func TestMarshalling(t *testing.T) {
	for _, r := range []Reference{
		{}, Parse("nginx"), Parse("nginx:1.25@" + dgM), Parse("MyHost/app"), Parse(dgC), Parse(hexC),
		Parse("docker-pullable://nginx@" + dgM), Parse("  nginx "), Parse("Not A Reference"),
		ParseDocker("9f86d081884c"), ParseDocker("docker://9f86d081884c"), ParseDocker("nginx"), ParseDocker(hexC),
		Parse("9f86d081884c"), Parse("nginx").WithTag("9"), Parse("MyHost/app").WithTag("9"),
		// Texts that imitate the marks of a marshalled short id.
		Parse("docker-short-id:9f86d081884c"), Parse("raw-reference:nginx"), Parse("raw-reference:docker-short-id:9f86d081884c"),
		ParseDocker("docker-short-id:9f86d081884c"),
	} {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Reference
		if err := back.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		if back != r {
			t.Errorf("%+v is marshalled as %q and comes back as %+v", r, text, back)
		}
	}
}

// TestFormsHaveTheirText pins String for the forms that are no name.
func TestFormsHaveTheirText(t *testing.T) {
	for text, want := range map[string]string{
		hexC: dgC, "docker://" + dgC: dgC, "nginx:1@" + dgM: "docker.io/library/nginx:1@" + dgM,
		"Not A Reference": "Not A Reference", "": "", "MyHost/app": "myhost:443/app:latest",
	} {
		if got := Parse(text).String(); got != want {
			t.Errorf("Parse(%q).String() = %q, want %q", text, got, want)
		}
	}
	if !Parse("").IsZero() || Parse("x").IsZero() {
		t.Error("only nothing is zero")
	}
}

// A registry that was not written is not told; what is told is read as the same.
func TestFamiliar(t *testing.T) {
	for in, want := range map[string]string{
		"app":                         "app:latest",
		"app:2":                       "app:2",
		"team/app":                    "team/app:latest",
		"library/app:2":               "app:2",
		"app@" + dgM:                  "app@" + dgM,
		"docker.io/library/app:2":     "docker.io/library/app:2",
		"docker.io/app:2":             "docker.io/library/app:2",
		"index.docker.io/team/app:2":  "docker.io/team/app:2",
		"docker-pullable://app:2":     "app:2",
		"registry.example/app:2":      "registry.example/app:2",
		"registry.example:5000/a/b:2": "registry.example:5000/a/b:2",
		"localhost/app:2":             "localhost/app:2",
		dgM:                           dgM,
		"a name <that> is none":       "a name <that> is none",
		"":                            "",
	} {
		r := Parse(in)
		if got := r.Familiar(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := Parse(r.Familiar()); again.Key() != r.Key() {
			t.Errorf("%q: read again it is %q", in, again.Key())
		}
	}
}
