package image

import (
	"strings"
	"testing"
)

var (
	trustedHosts = []string{"docker.io", "quay.io", "registry.corp.example:5000", "localhost:5000", "Mirror.Corp.Example"}
	knownNames   = []string{"nginx", "redis", "postgres", "node", "php", "bitnami", "mysql", "grafana"}
)

func TestLookalikes(t *testing.T) {
	for _, c := range []struct{ why, text, says string }{
		{"the official image", "nginx", ""},
		{"an official image by all its names", "index.docker.io/library/nginx:1.25", ""},
		{"a well-known name of another user", "bitnami/nginx", ""},
		{"an unlike name", "docker.io/acme/billing", ""},
		{"a trusted host with its port", "registry.corp.example:5000/team/app", ""},
		{"a trusted host with another port", "registry.corp.example/team/app", ""},
		{"a trusted host written in capitals", "mirror.corp.example/team/app", ""},
		{"a subdomain is its owner's", "eu.registry.corp.example/team/app", ""},
		{"a mirror that names what it mirrors, below a trusted host", "docker.io.mirror.corp.example/library/nginx", ""},
		{"a sibling of a trusted host", "evilregistry.corp.example/app", ""},
		{"a host that is another word", "docker.iox.example/app", ""},
		{"a host that ends like a trusted one", "mydocker.io/app", ""},
		{"the same before another host", "mydocker.io.evil.test/app", ""},
		{"a host of one label is too common a word", "localhost.example/app", ""},

		{"a trusted host before another", "docker.io.evil.example/library/nginx", `host "docker.io.evil.example" contains the name of docker.io`},
		{"the same with a port", "registry.corp.example.evil.test:5000/app", "contains the name of registry.corp.example"},
		{"in the middle of another", "www.quay.io.evil.test/app", "contains the name of quay.io"},
		{"joined by hyphens", "registry-corp-example.test/app", "contains the name of registry.corp.example"},
		{"joined by hyphens below a host that ends like a trusted one", "docker-io.evilquay.io/app", "contains the name of docker.io"},
		{"joined by hyphens among others", "login-docker-io-cdn.evil.test/app", "contains the name of docker.io"},

		{"a Cyrillic letter", "d\u043ecker.io/library/nginx", "drawn like docker.io"},
		{"the same letter, as the resolver sees it", "xn--dcker-jye.io/library/nginx", "drawn like docker.io"},
		{"a Greek letter", "qu\u03b1y.io/app", "drawn like quay.io"},
		{"an accent", "d\u00f3cker.io/app", "drawn like docker.io"},
		{"letters of another alphabet before another host", "d\u043ecker.io.evil.test/app", "drawn like docker.io"},
		{"full-width letters, which give no reference", "\uff44\uff4f\uff43\uff4b\uff45\uff52.io/library/nginx", "drawn like docker.io"},
		{"the Kelvin sign", "doc\u212aer.io/library/nginx", "drawn like docker.io"},
		{"a letter that is not drawn", "dock\u200ber.io/library/nginx", "drawn like docker.io"},
		{"another kind of dot", "docker\u3002io/library/nginx", "drawn like docker.io"},
		{"an honest internationalised host", "b\u00fccher.example/app", ""},

		{"a host as a part of the path", "library/docker.io/nginx", `path part "docker.io" imitates the registry host docker.io`},
		{"a user called like a host", "dockerio/nginx", `path part "dockerio" imitates`},
		{"the same with a hyphen", "evil.example/quay-io/app", `path part "quay-io" imitates`},
		{"a cache on a trusted host", "registry.corp.example:5000/docker.io/library/nginx", ""},
		{"deeper in the path it is somebody's own name", "registry.corp.example:5000/team/docker.io/nginx", `path part "docker.io" imitates`},
		{"the same on an unknown host", "evil.example/docker.io/library/nginx", `path part "docker.io" imitates`},
		{"a user called like another host, on Docker Hub", "docker.io/quay.io/nginx", `path part "quay.io" imitates`},
		{"a user called like a host, on a trusted host", "quay.io/dockerio/nginx", `path part "dockerio" imitates`},

		{"two letters exchanged", "docker.io/library/ngnix", `path part "ngnix" is one letter away from the well-known name "nginx"`},
		{"in the user's name", "ngnix/nginx", `path part "ngnix"`},
		{"a letter too many", "evil.example/nginxx", `path part "nginxx"`},
		{"a letter too few", "acme/postgrs", `"postgres"`},
		{"another letter", "bitnani/redis", `"bitnami"`},
		{"two errors", "acme/ngnxi", ""},
		{"a version behind the name", "acme/mysql8", ""},
		{"a digit in the name", "acme/mysq1", `"mysql"`},
		{"a short name", "acme/phq", ""},
		{"a short part", "acme/nod", ""},
		{"a short well-known name", "acme/phpp", ""},
		{"a part of a longer name", "acme/nginx-exporter", ""},

		{"an id", dgC, ""},
		{"nothing", "", ""},
		{"no reference", "Not A Reference", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			why, ok := Lookalike(Parse(c.text), trustedHosts, knownNames)
			if ok != (c.says != "") || !strings.Contains(why, c.says) || !ok && why != "" {
				t.Errorf("Lookalike(%q) = %q, %t; want it to say %q", c.text, why, ok, c.says)
			}
		})
	}
}

// TestLookalikeOfTwoNames pins that a well-known name is itself, though it be
// one letter away from another one, or its first part from a third.
func TestLookalikeOfTwoNames(t *testing.T) {
	names := []string{"mysql", "mysqld", "libraryx"}
	for _, text := range []string{"acme/mysqld", "docker.io/library/mysql"} {
		if why, ok := Lookalike(Parse(text), trustedHosts, names); ok {
			t.Errorf("%q is a look-alike: %s", text, why)
		}
	}
	if _, ok := Lookalike(Parse("acme/mysqle"), trustedHosts, names); !ok {
		t.Error("a name beside two well-known ones is no look-alike")
	}
}

// TestLookalikeWithoutLists pins that nothing is imitated when nothing is
// trusted or known.
func TestLookalikeWithoutLists(t *testing.T) {
	for _, text := range []string{"docker.io.evil.example/ngnix", "d\u043ecker.io/nginx", "dockerio/nginx", ""} {
		if why, ok := Lookalike(Parse(text), nil, nil); ok {
			t.Errorf("%q is a look-alike of nothing: %s", text, why)
		}
	}
}

// osaDistance is optimal string alignment by the textbook's table.
func osaDistance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// TestOneEdit compares the short test with the full distance, on words of two
// letters so that near misses are frequent.
func TestOneEdit(t *testing.T) {
	g := newGen(7)
	near := 0
	for range rounds {
		a, b := g.word("ab", g.IntN(6)), g.word("ab", g.IntN(6))
		want := osaDistance(a, b) == 1
		if oneEdit(a, b) != want || oneEdit(b, a) != want {
			t.Fatalf("oneEdit(%q, %q) = %t, %t the other way round; the distance is %d", a, b, oneEdit(a, b), oneEdit(b, a), osaDistance(a, b))
		}
		if want {
			near++
		}
	}
	if near < rounds/20 {
		t.Errorf("only %d of %d pairs are one edit apart", near, rounds)
	}
}

// TestConfusableTable pins that every letter in the table is foreign and small
// and stands for an ASCII letter, so that a skeleton is ASCII.
func TestConfusableTable(t *testing.T) {
	for from, to := range confusable {
		if from < 0x80 || to < 'a' || to > 'z' || strings.ToLower(string(from)) != string(from) {
			t.Errorf("%q stands for %q", from, to)
		}
		if got := skeleton(string(from)); got != string(to) {
			t.Errorf("skeleton(%q) = %q, want %q: the letter decomposes before the table is asked", from, got, to)
		}
	}
}
