package image

import "testing"

func TestMirrors(t *testing.T) {
	rules := append(KnownMirrors(),
		Mirror{"mirror.corp.example", "docker-hub", "docker.io", ""},
		Mirror{"mirror.corp.example", "docker-hub/special", "quay.io", "team"},
		Mirror{"mirror.corp.example", "one", "docker.io", "library/nginx"},
		Mirror{"cache.corp.example:5000", "", "ghcr.io", ""},
		Mirror{"loop.corp.example", "", "docker.io", "library"},
	)
	for _, c := range []struct{ why, text, want string }{
		{"Amazon's copy of the official images", "public.ecr.aws/docker/library/nginx:1.25", "docker.io/library/nginx:1.25"},
		{"a proxy keeps the path", "mirror.corp.example/docker-hub/library/nginx:1.25", "docker.io/library/nginx:1.25"},
		{"an official image without library", "mirror.corp.example/docker-hub/nginx", "docker.io/library/nginx:latest"},
		{"the digest is kept", "mirror.corp.example/docker-hub/bitnami/nginx@" + dgM, "docker.io/bitnami/nginx@" + dgM},
		{"tag and digest are kept", "mirror.corp.example/docker-hub/bitnami/nginx:1@" + dgM, "docker.io/bitnami/nginx:1@" + dgM},
		{"the longest prefix wins", "mirror.corp.example/docker-hub/special/tool:2", "quay.io/team/tool:2"},
		{"one repository", "mirror.corp.example/one:3", "docker.io/library/nginx:3"},
		{"a whole host", "cache.corp.example:5000/org/app:4", "ghcr.io/org/app:4"},
		{"a prefix ends at a slash", "mirror.corp.example/docker-hubbub/nginx", ""},
		{"another port is another host", "cache.corp.example/org/app", ""},
		{"another host", "mirror.corp.example.evil.test/docker-hub/library/nginx", ""},
		{"a namespace is no repository", "public.ecr.aws/docker/library", ""},
		{"the mirror's root is no repository", "mirror.corp.example/docker-hub", ""},
		{"other images of Amazon's host", "public.ecr.aws/nginx/nginx:1", ""},
		{"an id has no upstream", dgC, ""},
		{"no mirror may make an id of a name", "loop.corp.example/sha256:" + hexC, ""},
		{"no reference", "Not A Reference", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			r := Parse(c.text)
			up, ok := rules.Upstream(r)
			if ok != (c.want != "") || up.String() != c.want {
				t.Fatalf("upstream of %q is %q (%t), want %q", c.text, up, ok, c.want)
			}
			if ok && up.TagImplicit() != r.TagImplicit() {
				t.Errorf("tag implicit: %t, was %t", up.TagImplicit(), r.TagImplicit())
			}
			// What is remembered of the upstream must come back as the upstream.
			text, _ := up.MarshalText()
			var back Reference
			if back.UnmarshalText(text); back != up {
				t.Errorf("%q is marshalled as %q and comes back as %q", up, text, back)
			}
		})
	}
}

// TestMirrorOrder pins that the order of rules does not matter unless they are
// equally long.
func TestMirrorOrder(t *testing.T) {
	long, short := Mirror{"m.example", "a/b", "quay.io", ""}, Mirror{"m.example", "a", "docker.io", ""}
	r := Parse("m.example/a/b/c")
	x, _ := Mirrors{long, short}.Upstream(r)
	y, _ := Mirrors{short, long}.Upstream(r)
	if x != y || x.Domain() != "quay.io" {
		t.Errorf("upstream is %q or %q by the order of rules", x, y)
	}
}
