package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/posture/provenancetest"
)

const (
	signer = "https://ci.example/team/web/release@main"
	vouch  = "https://issuer.example"
)

// signedLayout writes an OCI layout of one image with a signature beside it.
func signedLayout(t *testing.T, by *provenancetest.Authority, who string) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
	put := func(data []byte) string {
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		must(os.WriteFile(filepath.Join(dir, "blobs/sha256", sum), data, 0o644))
		return sum
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	must(errors.Join(w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755}), w.Close()))
	l := put(layer.Bytes())
	config := put([]byte(`{"created":"` + time.Now().Format(time.RFC3339) + `","rootfs":{"diff_ids":["sha256:` + l + `"]},"history":[{"created_by":"COPY app /app"}]}`))
	manifest := put([]byte(`{"config":{"digest":"sha256:` + config + `"},"layers":[{"digest":"sha256:` + l + `"}]}`))
	bundle, err := by.Sign(who, vouch, provenancetest.Statement(manifest, "https://sigstore.dev/cosign/sign/v1", "{}"), time.Now())
	must(err)
	const kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
	attached := put([]byte(`{"artifactType":"` + kind + `","subject":{"digest":"sha256:` + manifest + `"},"layers":[{"mediaType":"` + kind + `","digest":"sha256:` + put(bundle) + `"}]}`))
	must(os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"manifests":[{"digest":"sha256:`+manifest+`","annotations":{"org.opencontainers.image.ref.name":"registry.example/team/web:1"}},{"digest":"sha256:`+attached+`"}]}`), 0o644))
	return dir
}

// A signature beside an image counts for it if a pinned identity made it, and
// against it otherwise; without one, neither.
func TestPostureOfSignedImages(t *testing.T) {
	authority, err := provenancetest.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trust := filepath.Join(dir, "trust.yaml")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "root.json"), authority.Root, 0o644),
		os.WriteFile(trust, []byte("version: 1\ntrusted_root: root.json\nidentities:\n- {issuer: "+vouch+", subject: "+signer+", images: [registry.example/team/*]}\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who          string
		status       int
		signed, list string
	}{{signer, exitOK, "pass", "pass"}, {"mallory@evil.test", exitFound, "fail", "unknown"}} {
		var stdout, stderr bytes.Buffer
		layout := signedLayout(t, authority, c.who)
		if got := run([]string{"posture", "-o", "json", "--trust", trust, "--image", layout}, nil, &stdout, &stderr); got != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.who, got, c.status, stderr.String())
		}
		verdicts := map[string]string{}
		var report struct {
			Results []struct{ ID, Verdict, Why string }
		}
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		for _, r := range report.Results {
			verdicts[r.ID] = r.Verdict
			if r.ID == "M1047-6" && !strings.Contains(r.Why, "speaks neither for it nor against it") {
				t.Errorf("no provenance: %s", r.Why)
			}
		}
		if verdicts["M1047-5"] != c.signed || verdicts["M1047-4"] != c.list || verdicts["M1047-6"] != "unknown" || verdicts["M1047-9"] != "pass" {
			t.Errorf("%s: %v", c.who, verdicts)
		}
	}
}
