package policy

import (
	"strings"
	"testing"

	"tidewaiter/image"
)

func TestMirrors(t *testing.T) {
	p := read(t, "mirrors: {mirror.example/docker-hub: docker.io, \"mirror.example:5000\": quay.example/team, mirror.example/docker-hub/own/: own.example/x}\n")
	for ref, want := range map[string]string{
		"mirror.example/docker-hub/library/nginx:1.25": "docker.io/library/nginx:1.25",
		"mirror.example/docker-hub/bitnami/redis":      "docker.io/bitnami/redis",
		"mirror.example:5000/app:2":                    "quay.example/team/app:2",
		"mirror.example/docker-hub/own/app:3":          "own.example/x/app:3",
		"public.ecr.aws/docker/library/nginx:1.25":     "docker.io/library/nginx:1.25",
		"mirror.example/docker-hubs/library/nginx":     "",
		"mirror.example.evil.example/docker-hub/a/b":   "",
		"docker.io/library/nginx":                      "",
	} {
		up, ok := p.Upstream(image.Parse(ref))
		if want := image.Parse(want); ok != (want.Form() == image.Named) || up.Key() != want.Key() {
			t.Errorf("%s stands for %q, want %q", ref, up, want)
		}
	}
	for text, says := range map[string]string{
		"mirrors: {mirror: docker.io}\n":               "2:11: mirrors.mirror: \"mirror\" is no registry or path below one",
		"mirrors: {m.example: \"*\"}\n":                "2:22: mirrors.\"m.example\": \"*\" is no registry",
		"mirrors: {m.example: [docker.io]}\n":          "mirrors.\"m.example\":",
		"mirrors: {\"http://m.example\": a.example}\n": "is no registry",
		"mirrors: [a]\n":                               "want a mapping",
	} {
		_, err := Read(strings.NewReader("version: 1\n"+text), "p.yaml", &Vocabulary{})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}
